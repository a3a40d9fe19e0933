//! The software keys that tss2 makes by OpenSSL, in this process.
//!
//! For the secret of a session tss2 makes an EC key, and asks OpenSSL for it as any program does. Once a
//! program has signed with an EC key of hwkey, OpenSSL 3.0 to 3.x answers that question with hwkey,
//! whatever its configuration prefers: `EVP_PKEY_sign_init` looks for hwkey's own EC keys, the answer is
//! kept for the query "", and the next one who has no wish gets it, too (`query_cmp` in
//! crypto/property/property.c takes entries of all providers for equal when none is named). Whoever asks
//! first after the cache was emptied decides; so it is emptied, and asked for EC keys without a wish.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::transmute_copy;
use std::sync::OnceLock;

type Keys = *mut c_void;
type Provider = *mut c_void;

/// Functions of the libcrypto that tss2 uses, which is not always there: tss2 can be built with mbed TLS.
struct Crypto {
    fetch: unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char) -> Keys,
    free: unsafe extern "C" fn(Keys),
    provider: unsafe extern "C" fn(Keys) -> Provider,
    name: unsafe extern "C" fn(Provider) -> *const c_char,
    load: unsafe extern "C" fn(*mut c_void, *const c_char) -> Provider,
    unload: unsafe extern "C" fn(Provider) -> c_int,
}

/// How often another thread may come in between.
const ATTEMPTS: usize = 3;

/// Makes sure that tss2's EC keys are software, as far as the configuration lets that be.
pub fn prepare() {
    static CRYPTO: OnceLock<Option<Crypto>> = OnceLock::new();
    let Some(crypto) = CRYPTO.get_or_init(Crypto::find) else {
        return;
    };
    for _ in 0..ATTEMPTS {
        if !crypto.gives_hardware_keys() {
            return;
        }
        crypto.empty_cache();
    }
}

impl Crypto {
    fn find() -> Option<Self> {
        // SAFETY: each is a public function of OpenSSL 3 with the signature of its manual page.
        unsafe {
            Some(Self {
                fetch: function(c"EVP_KEYMGMT_fetch")?,
                free: function(c"EVP_KEYMGMT_free")?,
                provider: function(c"EVP_KEYMGMT_get0_provider")?,
                name: function(c"OSSL_PROVIDER_get0_name")?,
                load: function(c"OSSL_PROVIDER_load")?,
                unload: function(c"OSSL_PROVIDER_unload")?,
            })
        }
    }

    /// Whether who asks for EC keys, and has no wish, gets hwkey's.
    fn gives_hardware_keys(&self) -> bool {
        // SAFETY: no context means the default one, and no text no wish; the keys are freed once, after
        // the last use of what belongs to them.
        unsafe {
            let keys = (self.fetch)(std::ptr::null_mut(), c"EC".as_ptr(), std::ptr::null());
            if keys.is_null() {
                return false;
            }
            let name = (self.name)((self.provider)(keys));
            let is_ours = !name.is_null() && CStr::from_ptr(name) == c"hwkey";
            (self.free)(keys);
            is_ours
        }
    }

    /// A provider that is new empties the cache. This one has nothing to offer.
    fn empty_cache(&self) {
        // SAFETY: "null" is built in, and unloaded once.
        unsafe {
            let null = (self.load)(std::ptr::null_mut(), c"null".as_ptr());
            if !null.is_null() {
                (self.unload)(null);
            }
        }
    }
}

/// The function that a call from here by this name would reach, and so one of tss2.
///
/// # Safety
/// `F` must be the type of a pointer to that function.
unsafe fn function<F: Copy>(name: &CStr) -> Option<F> {
    // SAFETY: a C string; RTLD_DEFAULT looks where the linker would for this module.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    // SAFETY: not null, and the caller's promise; pointers to functions and to data have one size.
    (!address.is_null()).then(|| unsafe { transmute_copy(&address) })
}
