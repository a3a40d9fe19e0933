//! OpenSSL's provider ABI as it is: C structures, numbers and signatures, nothing more.
//!
//! Everything here is compared with the installed headers by `tests/abi.rs` of this crate, which
//! compiles a C file made from [`functions::DECLARED`], [`names::DECLARED`] and the layouts below.

pub mod ctype;
pub mod functions;
pub mod names;

use std::ffi::{c_char, c_int, c_uint, c_void};

use foreign_types::{Opaque, foreign_type};

/// `OSSL_CORE_HANDLE`: what the core knows this provider by.
#[repr(C)]
pub struct CoreHandle(Opaque);

/// `OPENSSL_CORE_CTX`: the library context.
#[repr(C)]
pub struct CoreContext(Opaque);

/// `OSSL_CORE_BIO`.
#[repr(C)]
pub struct CoreBio(Opaque);

unsafe extern "C" fn keep(_: *mut CoreBio) {}

foreign_type! {
    /// A BIO lent by the core for the length of one call; the core frees it.
    pub unsafe type LentBio {
        type CType = CoreBio;
        fn drop = keep;
    }
}

/// `OSSL_PARAM`, OSSL_PARAM(3).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OsslParam {
    pub key: *const c_char,
    pub data_type: c_uint,
    pub data: *mut c_void,
    pub data_size: usize,
    pub return_size: usize,
}

impl OsslParam {
    pub const END: Self = Self {
        key: std::ptr::null(),
        data_type: 0,
        data: std::ptr::null_mut(),
        data_size: 0,
        return_size: 0,
    };
}

/// `OSSL_DISPATCH`, OSSL_DISPATCH(3).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OsslDispatch {
    pub function_id: c_int,
    pub function: Option<unsafe extern "C" fn()>,
}

impl OsslDispatch {
    pub const END: Self = Self {
        function_id: 0,
        function: None,
    };
}

/// `OSSL_ALGORITHM`, OSSL_ALGORITHM(3).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OsslAlgorithm {
    pub names: *const c_char,
    pub properties: *const c_char,
    pub implementation: *const OsslDispatch,
    pub description: *const c_char,
}

/// `OSSL_ITEM`, OSSL_ITEM(3).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OsslItem {
    pub id: c_uint,
    pub text: *const c_char,
}

/// `unsigned char`, of its own type because `c_char` is `u8` too on ARM.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct UnsignedChar(u8);

/// `OSSL_CALLBACK *`.
pub type Callback = unsafe extern "C" fn(*const OsslParam, *mut c_void) -> c_int;

/// `OSSL_PASSPHRASE_CALLBACK *`.
pub type PassphraseCallback =
    unsafe extern "C" fn(*mut c_char, usize, *mut usize, *const OsslParam, *mut c_void) -> c_int;

/// A callback of `provider_register_child_cb` that is told of one provider.
pub type ProviderCallback = unsafe extern "C" fn(*const CoreHandle, *mut c_void) -> c_int;

/// A callback of `provider_register_child_cb` that is told the default properties.
pub type PropertiesCallback = unsafe extern "C" fn(*const c_char, *mut c_void) -> c_int;

/// The last argument of `core_vset_error`.
///
/// A `va_list` can't be built in stable Rust and differs by architecture, but each ABI passes it
/// as one pointer-sized value that points at its state or at the arguments (SysV x86-64 and i386,
/// AAPCS, AAPCS64, RISC-V). A format without conversions never reads an argument, yet AAPCS64
/// callers copy the 32 bytes of state, so it points at zeroed memory and is never null.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct VaList(*const c_void);

impl VaList {
    pub fn empty() -> Self {
        static STATE: [u64; 8] = [0; 8];
        Self(STATE.as_ptr().cast())
    }
}

/// `OSSL_PARAM_*` data types.
pub mod data_type {
    use std::ffi::c_uint;

    pub const INTEGER: c_uint = 1;
    pub const UNSIGNED_INTEGER: c_uint = 2;
    pub const UTF8_STRING: c_uint = 4;
    pub const OCTET_STRING: c_uint = 5;
    pub const UTF8_PTR: c_uint = 6;
    /// `OSSL_PARAM_UNMODIFIED`
    pub const UNMODIFIED: usize = usize::MAX;
}

/// `OSSL_OP_*`.
pub mod operation {
    use std::ffi::c_int;

    pub const RAND: c_int = 5;
    pub const KEYMGMT: c_int = 10;
    pub const KEYEXCH: c_int = 11;
    pub const SIGNATURE: c_int = 12;
    pub const ASYM_CIPHER: c_int = 13;
    pub const ENCODER: c_int = 20;
    pub const DECODER: c_int = 21;
    pub const STORE: c_int = 22;
}

/// `OSSL_OBJECT_*`, provider-object(7).
pub mod object {
    use std::ffi::c_int;

    pub const NAME: c_int = 1;
    pub const PKEY: c_int = 2;
    pub const CERT: c_int = 3;
}

/// `OSSL_STORE_INFO_*`, what `OSSL_STORE_expect()` passes down.
pub mod store_info {
    use std::ffi::c_int;

    pub const NAME: c_int = 1;
    pub const PARAMS: c_int = 2;
    pub const PUBKEY: c_int = 3;
    pub const PKEY: c_int = 4;
    pub const CERT: c_int = 5;
    pub const CRL: c_int = 6;
}

/// `OSSL_KEYMGMT_SELECT_*`.
pub mod select {
    use std::ffi::c_int;

    pub const PRIVATE_KEY: c_int = 0x01;
    pub const PUBLIC_KEY: c_int = 0x02;
    pub const DOMAIN_PARAMETERS: c_int = 0x04;
    pub const OTHER_PARAMETERS: c_int = 0x80;
}

/// `EVP_RAND_STATE_*`.
pub mod rand_state {
    use std::ffi::c_int;

    pub const UNINITIALISED: c_int = 0;
    pub const READY: c_int = 1;
}

/// Every plain number above with the C macro that must have the same value.
pub const NUMBERS: &[(&str, i64)] = &[
    ("OSSL_PARAM_INTEGER", data_type::INTEGER as i64),
    (
        "OSSL_PARAM_UNSIGNED_INTEGER",
        data_type::UNSIGNED_INTEGER as i64,
    ),
    ("OSSL_PARAM_UTF8_STRING", data_type::UTF8_STRING as i64),
    ("OSSL_PARAM_OCTET_STRING", data_type::OCTET_STRING as i64),
    ("OSSL_PARAM_UTF8_PTR", data_type::UTF8_PTR as i64),
    (
        "(long long)OSSL_PARAM_UNMODIFIED",
        data_type::UNMODIFIED as i64,
    ),
    ("OSSL_OP_RAND", operation::RAND as i64),
    ("OSSL_OP_KEYMGMT", operation::KEYMGMT as i64),
    ("OSSL_OP_KEYEXCH", operation::KEYEXCH as i64),
    ("OSSL_OP_SIGNATURE", operation::SIGNATURE as i64),
    ("OSSL_OP_ASYM_CIPHER", operation::ASYM_CIPHER as i64),
    ("OSSL_OP_ENCODER", operation::ENCODER as i64),
    ("OSSL_OP_DECODER", operation::DECODER as i64),
    ("OSSL_OP_STORE", operation::STORE as i64),
    ("OSSL_OBJECT_NAME", object::NAME as i64),
    ("OSSL_OBJECT_PKEY", object::PKEY as i64),
    ("OSSL_OBJECT_CERT", object::CERT as i64),
    ("OSSL_STORE_INFO_NAME", store_info::NAME as i64),
    ("OSSL_STORE_INFO_PARAMS", store_info::PARAMS as i64),
    ("OSSL_STORE_INFO_PUBKEY", store_info::PUBKEY as i64),
    ("OSSL_STORE_INFO_PKEY", store_info::PKEY as i64),
    ("OSSL_STORE_INFO_CERT", store_info::CERT as i64),
    ("OSSL_STORE_INFO_CRL", store_info::CRL as i64),
    (
        "OSSL_KEYMGMT_SELECT_PRIVATE_KEY",
        select::PRIVATE_KEY as i64,
    ),
    ("OSSL_KEYMGMT_SELECT_PUBLIC_KEY", select::PUBLIC_KEY as i64),
    (
        "OSSL_KEYMGMT_SELECT_DOMAIN_PARAMETERS",
        select::DOMAIN_PARAMETERS as i64,
    ),
    (
        "OSSL_KEYMGMT_SELECT_OTHER_PARAMETERS",
        select::OTHER_PARAMETERS as i64,
    ),
    (
        "EVP_RAND_STATE_UNINITIALISED",
        rand_state::UNINITIALISED as i64,
    ),
    ("EVP_RAND_STATE_READY", rand_state::READY as i64),
];
