//! Function numbers and signatures of `openssl/core_dispatch.h`.
//!
//! One line per function gives its number *and* its signature; a dispatch entry can only be made
//! from a function of exactly that signature.

use std::ffi::{c_char, c_int, c_void};
use std::marker::PhantomData;

use super::ctype::CSignature;
use super::{
    Callback, CoreBio, CoreHandle, OsslAlgorithm, OsslDispatch, OsslItem, OsslParam,
    PassphraseCallback, PropertiesCallback, ProviderCallback, UnsignedChar, VaList,
};

/// A function of the ABI: its number, and its signature in the type.
pub struct Function<F> {
    pub id: c_int,
    signature: PhantomData<F>,
}

impl<F: Copy> Function<F> {
    const fn new(id: c_int) -> Self {
        Self {
            id,
            signature: PhantomData,
        }
    }

    /// The dispatch entry for `function`.
    pub const fn entry(&self, function: F) -> OsslDispatch {
        union Cast<F: Copy> {
            typed: F,
            untyped: Option<unsafe extern "C" fn()>,
        }
        OsslDispatch {
            function_id: self.id,
            // SAFETY: every F in this module is a function pointer (the macro below admits nothing
            // else), and those have one size and are never null.
            function: unsafe { Cast { typed: function }.untyped },
        }
    }

    /// The function in `entry`, if the entry is of this function.
    ///
    /// # Safety
    /// `entry` must come from the core, which promises the header's signature for each number.
    pub unsafe fn from_entry(&self, entry: &OsslDispatch) -> Option<F> {
        union Cast<F: Copy> {
            untyped: unsafe extern "C" fn(),
            typed: F,
        }
        match entry.function {
            Some(untyped) if entry.function_id == self.id => {
                // SAFETY: as in `entry`; the core's promise is the caller's.
                Some(unsafe { Cast { untyped }.typed })
            }
            _ => None,
        }
    }
}

/// What the header check needs to know of one function.
pub struct Declared {
    /// The macro with the number, without `OSSL_FUNC_`.
    pub number: &'static str,
    pub value: c_int,
    /// The function type, without `OSSL_FUNC_` and `_fn`.
    pub name: &'static str,
    pub signature: fn() -> String,
}

macro_rules! functions {
    ($($NUMBER:ident = $value:literal: $name:ident($($arg:ty),* $(,)?) $(-> $ret:ty)?;)*) => {
        $(pub const $NUMBER: Function<unsafe extern "C" fn($($arg),*) $(-> $ret)?> =
            Function::new($value);)*

        /// All of the above, for the header check.
        pub const DECLARED: &[Declared] = &[
            $(Declared {
                number: stringify!($NUMBER),
                value: $value,
                name: stringify!($name),
                signature: <unsafe extern "C" fn($($arg),*) $(-> $ret)? as CSignature>::c,
            },)*
        ];
    };
}

type Param = *const OsslParam;
type ParamMut = *mut OsslParam;
type Ctx = *mut c_void;

functions! {
    // provider-base(7): what the core offers.
    CORE_GET_PARAMS = 2: core_get_params(*const CoreHandle, ParamMut) -> c_int;
    CORE_NEW_ERROR = 5: core_new_error(*const CoreHandle);
    CORE_SET_ERROR_DEBUG = 6: core_set_error_debug(*const CoreHandle, *const c_char, c_int, *const c_char);
    CORE_VSET_ERROR = 7: core_vset_error(*const CoreHandle, u32, *const c_char, VaList);
    CORE_SET_ERROR_MARK = 8: core_set_error_mark(*const CoreHandle) -> c_int;
    CORE_POP_ERROR_TO_MARK = 10: core_pop_error_to_mark(*const CoreHandle) -> c_int;
    BIO_READ_EX = 42: BIO_read_ex(*mut CoreBio, *mut c_void, usize, *mut usize) -> c_int;
    BIO_WRITE_EX = 43: BIO_write_ex(*mut CoreBio, *const c_void, usize, *mut usize) -> c_int;
    BIO_GETS = 49: BIO_gets(*mut CoreBio, *mut c_char, c_int) -> c_int;
    PROVIDER_REGISTER_CHILD_CB = 105: provider_register_child_cb(
        *const CoreHandle, ProviderCallback, ProviderCallback, PropertiesCallback, *mut c_void) -> c_int;
    PROVIDER_DEREGISTER_CHILD_CB = 106: provider_deregister_child_cb(*const CoreHandle);
    PROVIDER_NAME = 107: provider_name(*const CoreHandle) -> *const c_char;
    PROVIDER_UP_REF = 110: provider_up_ref(*const CoreHandle, c_int) -> c_int;

    // provider-base(7): what a provider offers.
    PROVIDER_TEARDOWN = 1024: provider_teardown(Ctx);
    PROVIDER_GETTABLE_PARAMS = 1025: provider_gettable_params(Ctx) -> Param;
    PROVIDER_GET_PARAMS = 1026: provider_get_params(Ctx, ParamMut) -> c_int;
    PROVIDER_QUERY_OPERATION = 1027: provider_query_operation(Ctx, c_int, *mut c_int) -> *const OsslAlgorithm;
    PROVIDER_GET_REASON_STRINGS = 1029: provider_get_reason_strings(Ctx) -> *const OsslItem;

    // provider-keymgmt(7).
    KEYMGMT_NEW = 1: keymgmt_new(Ctx) -> Ctx;
    KEYMGMT_GEN_INIT = 2: keymgmt_gen_init(Ctx, c_int, Param) -> Ctx;
    KEYMGMT_GEN_SET_PARAMS = 4: keymgmt_gen_set_params(Ctx, Param) -> c_int;
    KEYMGMT_GEN_SETTABLE_PARAMS = 5: keymgmt_gen_settable_params(Ctx, Ctx) -> Param;
    KEYMGMT_GEN = 6: keymgmt_gen(Ctx, Option<Callback>, *mut c_void) -> Ctx;
    KEYMGMT_GEN_CLEANUP = 7: keymgmt_gen_cleanup(Ctx);
    KEYMGMT_LOAD = 8: keymgmt_load(*const c_void, usize) -> Ctx;
    KEYMGMT_FREE = 10: keymgmt_free(Ctx);
    KEYMGMT_GET_PARAMS = 11: keymgmt_get_params(Ctx, ParamMut) -> c_int;
    KEYMGMT_GETTABLE_PARAMS = 12: keymgmt_gettable_params(Ctx) -> Param;
    KEYMGMT_SET_PARAMS = 13: keymgmt_set_params(Ctx, Param) -> c_int;
    KEYMGMT_SETTABLE_PARAMS = 14: keymgmt_settable_params(Ctx) -> Param;
    KEYMGMT_QUERY_OPERATION_NAME = 20: keymgmt_query_operation_name(c_int) -> *const c_char;
    KEYMGMT_HAS = 21: keymgmt_has(*const c_void, c_int) -> c_int;
    KEYMGMT_VALIDATE = 22: keymgmt_validate(*const c_void, c_int, c_int) -> c_int;
    KEYMGMT_MATCH = 23: keymgmt_match(*const c_void, *const c_void, c_int) -> c_int;
    KEYMGMT_IMPORT = 40: keymgmt_import(Ctx, c_int, Param) -> c_int;
    KEYMGMT_IMPORT_TYPES = 41: keymgmt_import_types(c_int) -> Param;
    KEYMGMT_EXPORT = 42: keymgmt_export(Ctx, c_int, Option<Callback>, *mut c_void) -> c_int;
    KEYMGMT_EXPORT_TYPES = 43: keymgmt_export_types(c_int) -> Param;
    KEYMGMT_DUP = 44: keymgmt_dup(*const c_void, c_int) -> Ctx;

    // provider-signature(7).
    SIGNATURE_NEWCTX = 1: signature_newctx(Ctx, *const c_char) -> Ctx;
    SIGNATURE_SIGN_INIT = 2: signature_sign_init(Ctx, Ctx, Param) -> c_int;
    SIGNATURE_SIGN = 3: signature_sign(Ctx, *mut UnsignedChar, *mut usize, usize, *const UnsignedChar, usize) -> c_int;
    SIGNATURE_VERIFY_INIT = 4: signature_verify_init(Ctx, Ctx, Param) -> c_int;
    SIGNATURE_VERIFY = 5: signature_verify(Ctx, *const UnsignedChar, usize, *const UnsignedChar, usize) -> c_int;
    SIGNATURE_DIGEST_SIGN_INIT = 8: signature_digest_sign_init(Ctx, *const c_char, Ctx, Param) -> c_int;
    SIGNATURE_DIGEST_SIGN_UPDATE = 9: signature_digest_sign_update(Ctx, *const UnsignedChar, usize) -> c_int;
    SIGNATURE_DIGEST_SIGN_FINAL = 10: signature_digest_sign_final(Ctx, *mut UnsignedChar, *mut usize, usize) -> c_int;
    SIGNATURE_DIGEST_SIGN = 11: signature_digest_sign(
        Ctx, *mut UnsignedChar, *mut usize, usize, *const UnsignedChar, usize) -> c_int;
    SIGNATURE_DIGEST_VERIFY_INIT = 12: signature_digest_verify_init(Ctx, *const c_char, Ctx, Param) -> c_int;
    SIGNATURE_DIGEST_VERIFY_UPDATE = 13: signature_digest_verify_update(Ctx, *const UnsignedChar, usize) -> c_int;
    SIGNATURE_DIGEST_VERIFY_FINAL = 14: signature_digest_verify_final(Ctx, *const UnsignedChar, usize) -> c_int;
    SIGNATURE_DIGEST_VERIFY = 15: signature_digest_verify(
        Ctx, *const UnsignedChar, usize, *const UnsignedChar, usize) -> c_int;
    SIGNATURE_FREECTX = 16: signature_freectx(Ctx);
    SIGNATURE_DUPCTX = 17: signature_dupctx(Ctx) -> Ctx;
    SIGNATURE_GET_CTX_PARAMS = 18: signature_get_ctx_params(Ctx, ParamMut) -> c_int;
    SIGNATURE_GETTABLE_CTX_PARAMS = 19: signature_gettable_ctx_params(Ctx, Ctx) -> Param;
    SIGNATURE_SET_CTX_PARAMS = 20: signature_set_ctx_params(Ctx, Param) -> c_int;
    SIGNATURE_SETTABLE_CTX_PARAMS = 21: signature_settable_ctx_params(Ctx, Ctx) -> Param;

    // provider-keyexch(7).
    KEYEXCH_NEWCTX = 1: keyexch_newctx(Ctx) -> Ctx;
    KEYEXCH_INIT = 2: keyexch_init(Ctx, Ctx, Param) -> c_int;
    KEYEXCH_DERIVE = 3: keyexch_derive(Ctx, *mut UnsignedChar, *mut usize, usize) -> c_int;
    KEYEXCH_SET_PEER = 4: keyexch_set_peer(Ctx, Ctx) -> c_int;
    KEYEXCH_FREECTX = 5: keyexch_freectx(Ctx);
    KEYEXCH_DUPCTX = 6: keyexch_dupctx(Ctx) -> Ctx;
    KEYEXCH_SET_CTX_PARAMS = 7: keyexch_set_ctx_params(Ctx, Param) -> c_int;
    KEYEXCH_SETTABLE_CTX_PARAMS = 8: keyexch_settable_ctx_params(Ctx, Ctx) -> Param;
    KEYEXCH_GET_CTX_PARAMS = 9: keyexch_get_ctx_params(Ctx, ParamMut) -> c_int;
    KEYEXCH_GETTABLE_CTX_PARAMS = 10: keyexch_gettable_ctx_params(Ctx, Ctx) -> Param;

    // provider-asym_cipher(7).
    ASYM_CIPHER_NEWCTX = 1: asym_cipher_newctx(Ctx) -> Ctx;
    ASYM_CIPHER_ENCRYPT_INIT = 2: asym_cipher_encrypt_init(Ctx, Ctx, Param) -> c_int;
    ASYM_CIPHER_ENCRYPT = 3: asym_cipher_encrypt(
        Ctx, *mut UnsignedChar, *mut usize, usize, *const UnsignedChar, usize) -> c_int;
    ASYM_CIPHER_DECRYPT_INIT = 4: asym_cipher_decrypt_init(Ctx, Ctx, Param) -> c_int;
    ASYM_CIPHER_DECRYPT = 5: asym_cipher_decrypt(
        Ctx, *mut UnsignedChar, *mut usize, usize, *const UnsignedChar, usize) -> c_int;
    ASYM_CIPHER_FREECTX = 6: asym_cipher_freectx(Ctx);
    ASYM_CIPHER_DUPCTX = 7: asym_cipher_dupctx(Ctx) -> Ctx;
    ASYM_CIPHER_GET_CTX_PARAMS = 8: asym_cipher_get_ctx_params(Ctx, ParamMut) -> c_int;
    ASYM_CIPHER_GETTABLE_CTX_PARAMS = 9: asym_cipher_gettable_ctx_params(Ctx, Ctx) -> Param;
    ASYM_CIPHER_SET_CTX_PARAMS = 10: asym_cipher_set_ctx_params(Ctx, Param) -> c_int;
    ASYM_CIPHER_SETTABLE_CTX_PARAMS = 11: asym_cipher_settable_ctx_params(Ctx, Ctx) -> Param;

    // provider-rand(7).
    RAND_NEWCTX = 1: rand_newctx(Ctx, Ctx, *const OsslDispatch) -> Ctx;
    RAND_FREECTX = 2: rand_freectx(Ctx);
    RAND_INSTANTIATE = 3: rand_instantiate(Ctx, u32, c_int, *const UnsignedChar, usize, Param) -> c_int;
    RAND_UNINSTANTIATE = 4: rand_uninstantiate(Ctx) -> c_int;
    RAND_GENERATE = 5: rand_generate(
        Ctx, *mut UnsignedChar, usize, u32, c_int, *const UnsignedChar, usize) -> c_int;
    RAND_RESEED = 6: rand_reseed(
        Ctx, c_int, *const UnsignedChar, usize, *const UnsignedChar, usize) -> c_int;
    RAND_NONCE = 7: rand_nonce(Ctx, *mut UnsignedChar, u32, usize, usize) -> usize;
    RAND_ENABLE_LOCKING = 8: rand_enable_locking(Ctx) -> c_int;
    RAND_LOCK = 9: rand_lock(Ctx) -> c_int;
    RAND_UNLOCK = 10: rand_unlock(Ctx);
    RAND_GETTABLE_CTX_PARAMS = 12: rand_gettable_ctx_params(Ctx, Ctx) -> Param;
    RAND_GET_CTX_PARAMS = 15: rand_get_ctx_params(Ctx, ParamMut) -> c_int;
    RAND_VERIFY_ZEROIZATION = 17: rand_verify_zeroization(Ctx) -> c_int;
    RAND_GET_SEED = 18: rand_get_seed(
        Ctx, *mut *mut UnsignedChar, c_int, usize, usize, c_int, *const UnsignedChar, usize) -> usize;
    RAND_CLEAR_SEED = 19: rand_clear_seed(Ctx, *mut UnsignedChar, usize);

    // provider-encoder(7).
    ENCODER_NEWCTX = 1: encoder_newctx(Ctx) -> Ctx;
    ENCODER_FREECTX = 2: encoder_freectx(Ctx);
    ENCODER_DOES_SELECTION = 10: encoder_does_selection(Ctx, c_int) -> c_int;
    ENCODER_ENCODE = 11: encoder_encode(
        Ctx, *mut CoreBio, *const c_void, Param, c_int, Option<PassphraseCallback>, *mut c_void) -> c_int;

    // provider-decoder(7).
    DECODER_NEWCTX = 1: decoder_newctx(Ctx) -> Ctx;
    DECODER_FREECTX = 2: decoder_freectx(Ctx);
    DECODER_DOES_SELECTION = 10: decoder_does_selection(Ctx, c_int) -> c_int;
    DECODER_DECODE = 11: decoder_decode(
        Ctx, *mut CoreBio, c_int, Option<Callback>, *mut c_void, Option<PassphraseCallback>, *mut c_void) -> c_int;
    DECODER_EXPORT_OBJECT = 20: decoder_export_object(
        Ctx, *const c_void, usize, Option<Callback>, *mut c_void) -> c_int;

    // provider-storemgmt(7).
    STORE_OPEN = 1: store_open(Ctx, *const c_char) -> Ctx;
    STORE_SETTABLE_CTX_PARAMS = 3: store_settable_ctx_params(Ctx) -> Param;
    STORE_SET_CTX_PARAMS = 4: store_set_ctx_params(Ctx, Param) -> c_int;
    STORE_LOAD = 5: store_load(
        Ctx, Option<Callback>, *mut c_void, Option<PassphraseCallback>, *mut c_void) -> c_int;
    STORE_EOF = 6: store_eof(Ctx) -> c_int;
    STORE_CLOSE = 7: store_close(Ctx) -> c_int;
    STORE_EXPORT_OBJECT = 8: store_export_object(
        Ctx, *const c_void, usize, Option<Callback>, *mut c_void) -> c_int;
}
