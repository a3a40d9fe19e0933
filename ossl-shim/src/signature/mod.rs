//! Signatures, provider-signature(7). Other people's signatures are verified by the default
//! provider; a key that was loaded from the hardware comes here for its own, too (`openssl req
//! -verify`, `dgst -prverify`), because OpenSSL asks one provider for both.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;

use crate::abi::functions::{
    SIGNATURE_DIGEST_SIGN, SIGNATURE_DIGEST_SIGN_FINAL, SIGNATURE_DIGEST_SIGN_INIT,
    SIGNATURE_DIGEST_SIGN_UPDATE, SIGNATURE_DIGEST_VERIFY, SIGNATURE_DIGEST_VERIFY_FINAL,
    SIGNATURE_DIGEST_VERIFY_INIT, SIGNATURE_DIGEST_VERIFY_UPDATE, SIGNATURE_DUPCTX,
    SIGNATURE_FREECTX, SIGNATURE_GET_CTX_PARAMS, SIGNATURE_GETTABLE_CTX_PARAMS, SIGNATURE_NEWCTX,
    SIGNATURE_SET_CTX_PARAMS, SIGNATURE_SETTABLE_CTX_PARAMS, SIGNATURE_SIGN, SIGNATURE_SIGN_INIT,
    SIGNATURE_VERIFY, SIGNATURE_VERIFY_INIT,
};
use crate::abi::{OsslDispatch, OsslParam};
use crate::operation::{
    OperationContext, dupctx, freectx, get_ctx_params, gettable_ctx_params, newctx_with_query,
    set_ctx_params, settable_ctx_params, start,
};
use crate::provider::Provider;

mod sign;
mod verify;

use sign::{digest_sign, digest_sign_final, digest_sign_init, digest_sign_update, sign, sign_init};
use verify::{digest_verify, digest_verify_final, digest_verify_init, verify, verify_init};

/// A signature algorithm; the value is one operation's context.
pub trait Signature<P: Provider>: OperationContext<P> {
    /// Starts `EVP_PKEY_sign`. Without a key, the one of the last start is used again.
    fn sign_init(&mut self, key: Option<&P::Key>) -> Result<(), P::Error>;

    /// Signs what the caller has hashed; returns the bytes written to `signature`, which has
    /// [`Self::max_size`] bytes or more.
    fn sign(&mut self, data: &[u8], signature: &mut [u8]) -> Result<usize, P::Error>;

    /// Starts `EVP_DigestSign`. libssl calls this for each candidate algorithm to see which ones
    /// the key takes: it must not touch the hardware.
    fn digest_sign_init(
        &mut self,
        digest: Option<&str>,
        key: Option<&P::Key>,
    ) -> Result<(), P::Error>;

    fn digest_sign_update(&mut self, data: &[u8]) -> Result<(), P::Error>;

    /// Signs what was hashed, as [`Self::sign`].
    fn digest_sign_final(&mut self, signature: &mut [u8]) -> Result<usize, P::Error>;

    /// Signs a whole message, `EVP_DigestSign`.
    fn digest_sign(&mut self, message: &[u8], signature: &mut [u8]) -> Result<usize, P::Error> {
        self.digest_sign_update(message)?;
        self.digest_sign_final(signature)
    }

    /// Starts `EVP_PKEY_verify`.
    fn verify_init(&mut self, key: Option<&P::Key>) -> Result<(), P::Error>;

    /// Whether `signature` over what the caller has hashed is the key's.
    fn verify(&mut self, data: &[u8], signature: &[u8]) -> Result<bool, P::Error>;

    /// Starts `EVP_DigestVerify`; the message follows as for signing.
    fn digest_verify_init(
        &mut self,
        digest: Option<&str>,
        key: Option<&P::Key>,
    ) -> Result<(), P::Error>;

    /// Whether `signature` over what was hashed is the key's.
    fn digest_verify_final(&mut self, signature: &[u8]) -> Result<bool, P::Error>;

    /// Verifies the signature of a whole message.
    fn digest_verify(&mut self, message: &[u8], signature: &[u8]) -> Result<bool, P::Error> {
        self.digest_sign_update(message)?;
        self.digest_verify_final(signature)
    }

    /// The size in bytes that a signature can have.
    fn max_size(&self) -> Result<usize, P::Error>;
}

pub(crate) struct Table<P, T>(PhantomData<(P, T)>);

impl<P: Provider, T: Signature<P>> Table<P, T> {
    pub(crate) const DISPATCH: &'static [OsslDispatch] = &[
        SIGNATURE_NEWCTX.entry(newctx_with_query::<P, T>),
        SIGNATURE_FREECTX.entry(freectx::<P, T>),
        SIGNATURE_DUPCTX.entry(dupctx::<P, T>),
        SIGNATURE_SIGN_INIT.entry(sign_init::<P, T>),
        SIGNATURE_SIGN.entry(sign::<P, T>),
        SIGNATURE_DIGEST_SIGN_INIT.entry(digest_sign_init::<P, T>),
        SIGNATURE_DIGEST_SIGN_UPDATE.entry(digest_sign_update::<P, T>),
        SIGNATURE_DIGEST_SIGN_FINAL.entry(digest_sign_final::<P, T>),
        SIGNATURE_DIGEST_SIGN.entry(digest_sign::<P, T>),
        SIGNATURE_VERIFY_INIT.entry(verify_init::<P, T>),
        SIGNATURE_VERIFY.entry(verify::<P, T>),
        SIGNATURE_DIGEST_VERIFY_INIT.entry(digest_verify_init::<P, T>),
        SIGNATURE_DIGEST_VERIFY_UPDATE.entry(digest_sign_update::<P, T>),
        SIGNATURE_DIGEST_VERIFY_FINAL.entry(digest_verify_final::<P, T>),
        SIGNATURE_DIGEST_VERIFY.entry(digest_verify::<P, T>),
        SIGNATURE_GET_CTX_PARAMS.entry(get_ctx_params::<P, T>),
        SIGNATURE_GETTABLE_CTX_PARAMS.entry(gettable_ctx_params::<P, T>),
        SIGNATURE_SET_CTX_PARAMS.entry(set_ctx_params::<P, T>),
        SIGNATURE_SETTABLE_CTX_PARAMS.entry(settable_ctx_params::<P, T>),
        OsslDispatch::END,
    ];
}

/// Begins an operation over a message: as [`start`], with the name of a digest.
///
/// # Safety
/// As [`start`]; `digest` must be null or a C string.
unsafe fn start_digest<P: Provider, T: Signature<P>>(
    ctx: *mut c_void,
    function: &CStr,
    digest: *const c_char,
    keydata: *mut c_void,
    params: *const OsslParam,
    begin: impl FnOnce(&mut T, Option<&str>, Option<&P::Key>) -> Result<(), P::Error>,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let digest = (!digest.is_null()).then(|| CStr::from_ptr(digest).to_string_lossy());
        let digest = digest.as_deref().filter(|name| !name.is_empty());
        start::<P, T>(ctx, function, keydata, params, |operation, key| {
            begin(operation, digest, key)
        })
    }
}
