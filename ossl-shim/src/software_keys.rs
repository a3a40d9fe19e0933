//! Keeps software keys out of this provider, whatever a cache of OpenSSL's says.
//!
//! When a program signs with a key of ours, `EVP_PKEY_sign_init` and its like look for our key management
//! by its type ("EC"). The answer is kept for the property query "", and OpenSSL up to 3.5 at least gives
//! it to the next one who looks for that type without a wish, too, whatever the default properties prefer:
//! `query_cmp` (crypto/property/property.c) takes the entries of all providers for equal when none is
//! named. A program could make no software key of this type any more. Who looks without a wish *first*
//! gets what the configuration prefers, and that is kept; so we look, before a key of ours is there.
//!
//! No core function does that, and the module must not link libcrypto; but the libcrypto that called us is
//! there, and its functions can be looked up in it.

use std::ffi::{CStr, c_char, c_void};
use std::mem::{MaybeUninit, transmute_copy};

type Fetch = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void);

/// Looks for each of `types` in `context`, in the libcrypto that has the function `core`.
///
/// # Safety
/// `context` must be the library context of that libcrypto that called us, and `core` one of its
/// functions.
pub(crate) unsafe fn look_for(types: &[&CStr], context: *mut c_void, core: *const c_void) {
    // SAFETY: public functions of OpenSSL 3, with the signatures of their manual page.
    let functions = unsafe {
        (
            function::<Fetch>(c"EVP_KEYMGMT_fetch", core),
            function::<Free>(c"EVP_KEYMGMT_free", core),
        )
    };
    let (Some(fetch), Some(free)) = functions else {
        return;
    };
    for name in types {
        // SAFETY: the caller's context, C strings, and no wish; what was found is freed once, which is
        // allowed for nothing, too.
        unsafe { free(fetch(context, name.as_ptr(), std::ptr::null())) };
    }
}

/// The function `name` of the library that `core` is in; none if it shows no such symbol.
///
/// # Safety
/// `F` must be the type of a pointer to that function.
unsafe fn function<F: Copy>(name: &CStr, core: *const c_void) -> Option<F> {
    let library = library(core)?;
    // SAFETY: a C string. RTLD_DEFAULT finds what the program or its libraries show to everybody.
    let mut address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if address.is_null() || self::library(address)?.dli_fbase != library.dli_fbase {
        // Loaded for one of the program's modules only (Python's ssl), or there is another libcrypto.
        // SAFETY: the path is a C string of the loader's; RTLD_NOLOAD loads nothing. The handle is one
        // more reference to a library that is in use; it is given back.
        address = unsafe {
            let handle = libc::dlopen(library.dli_fname, libc::RTLD_LAZY | libc::RTLD_NOLOAD);
            if handle.is_null() {
                return None;
            }
            let address = libc::dlsym(handle, name.as_ptr());
            libc::dlclose(handle);
            address
        };
    }
    let same = !address.is_null() && self::library(address)?.dli_fbase == library.dli_fbase;
    // SAFETY: not null, and the caller's promise; pointers to functions and to data have one size.
    same.then(|| unsafe { transmute_copy(&address) })
}

/// Which library has what is at `address`, dladdr(3).
fn library(address: *const c_void) -> Option<libc::Dl_info> {
    let mut info = MaybeUninit::uninit();
    // SAFETY: any address may be asked for; the structure is filled in if the answer is not 0.
    unsafe { (libc::dladdr(address, info.as_mut_ptr()) != 0).then(|| info.assume_init()) }
}
