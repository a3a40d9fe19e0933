//! Encryption and decryption with a key pair, provider-asym_cipher(7). Others encrypt in the default
//! provider; a key that was loaded from the hardware comes here for its own public half, too, because
//! OpenSSL asks one provider for both.

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;

use crate::abi::functions::{
    ASYM_CIPHER_DECRYPT, ASYM_CIPHER_DECRYPT_INIT, ASYM_CIPHER_DUPCTX, ASYM_CIPHER_ENCRYPT,
    ASYM_CIPHER_ENCRYPT_INIT, ASYM_CIPHER_FREECTX, ASYM_CIPHER_GET_CTX_PARAMS,
    ASYM_CIPHER_GETTABLE_CTX_PARAMS, ASYM_CIPHER_NEWCTX, ASYM_CIPHER_SET_CTX_PARAMS,
    ASYM_CIPHER_SETTABLE_CTX_PARAMS,
};
use crate::abi::{OsslDispatch, OsslParam, UnsignedChar};
use crate::operation::{
    OperationContext, Output, bytes, dupctx, freectx, get_ctx_params, gettable_ctx_params, newctx,
    on, set_ctx_params, settable_ctx_params, start,
};
use crate::provider::Provider;

/// A cipher with a public and a private key; the value is one operation's context.
pub trait AsymCipher<P: Provider>: OperationContext<P> {
    /// Starts to encrypt. Without a key, the one of the last start is used again.
    fn encrypt_init(&mut self, key: Option<&P::Key>) -> Result<(), P::Error>;

    /// Encrypts `message` into `out`, which has [`Self::max_size`] bytes; returns the bytes written.
    fn encrypt(&mut self, message: &[u8], out: &mut [u8]) -> Result<usize, P::Error>;

    /// Starts to decrypt, as [`Self::encrypt_init`].
    fn decrypt_init(&mut self, key: Option<&P::Key>) -> Result<(), P::Error>;

    /// Decrypts `ciphertext`, as [`Self::encrypt`].
    fn decrypt(&mut self, ciphertext: &[u8], out: &mut [u8]) -> Result<usize, P::Error>;

    /// The size in bytes that a result can have.
    fn max_size(&self) -> Result<usize, P::Error>;
}

pub(crate) struct Table<P, T>(PhantomData<(P, T)>);

impl<P: Provider, T: AsymCipher<P>> Table<P, T> {
    pub(crate) const DISPATCH: &'static [OsslDispatch] = &[
        ASYM_CIPHER_NEWCTX.entry(newctx::<P, T>),
        ASYM_CIPHER_FREECTX.entry(freectx::<P, T>),
        ASYM_CIPHER_DUPCTX.entry(dupctx::<P, T>),
        ASYM_CIPHER_ENCRYPT_INIT.entry(encrypt_init::<P, T>),
        ASYM_CIPHER_ENCRYPT.entry(encrypt::<P, T>),
        ASYM_CIPHER_DECRYPT_INIT.entry(decrypt_init::<P, T>),
        ASYM_CIPHER_DECRYPT.entry(decrypt::<P, T>),
        ASYM_CIPHER_GET_CTX_PARAMS.entry(get_ctx_params::<P, T>),
        ASYM_CIPHER_GETTABLE_CTX_PARAMS.entry(gettable_ctx_params::<P, T>),
        ASYM_CIPHER_SET_CTX_PARAMS.entry(set_ctx_params::<P, T>),
        ASYM_CIPHER_SETTABLE_CTX_PARAMS.entry(settable_ctx_params::<P, T>),
        OsslDispatch::END,
    ];
}

unsafe extern "C" fn encrypt_init<P: Provider, T: AsymCipher<P>>(
    ctx: *mut c_void,
    keydata: *mut c_void,
    params: *const OsslParam,
) -> c_int {
    let function = c"asym_cipher_encrypt_init";
    // SAFETY: the core's arguments, passed on.
    unsafe { start::<P, T>(ctx, function, keydata, params, T::encrypt_init) }
}

unsafe extern "C" fn decrypt_init<P: Provider, T: AsymCipher<P>>(
    ctx: *mut c_void,
    keydata: *mut c_void,
    params: *const OsslParam,
) -> c_int {
    let function = c"asym_cipher_decrypt_init";
    // SAFETY: the core's arguments, passed on.
    unsafe { start::<P, T>(ctx, function, keydata, params, T::decrypt_init) }
}

unsafe extern "C" fn encrypt<P: Provider, T: AsymCipher<P>>(
    ctx: *mut c_void,
    data: *mut UnsignedChar,
    written: *mut usize,
    size: usize,
    message: *const UnsignedChar,
    message_size: usize,
) -> c_int {
    let out = Output {
        data,
        written,
        size,
    };
    // SAFETY: the core passes our context, its buffers and their sizes.
    unsafe {
        let message = bytes(message, message_size);
        transform::<P, T>(ctx, c"asym_cipher_encrypt", out, |operation, made| {
            operation.encrypt(message, made)
        })
    }
}

unsafe extern "C" fn decrypt<P: Provider, T: AsymCipher<P>>(
    ctx: *mut c_void,
    data: *mut UnsignedChar,
    written: *mut usize,
    size: usize,
    ciphertext: *const UnsignedChar,
    ciphertext_size: usize,
) -> c_int {
    let out = Output {
        data,
        written,
        size,
    };
    // SAFETY: as `encrypt`.
    unsafe {
        let ciphertext = bytes(ciphertext, ciphertext_size);
        transform::<P, T>(ctx, c"asym_cipher_decrypt", out, |operation, made| {
            operation.decrypt(ciphertext, made)
        })
    }
}

/// Answers the size if there is no buffer, else fills it.
///
/// # Safety
/// `ctx` must be a context of `T` that no other thread uses; for `out` see [`Output::fill`].
unsafe fn transform<P: Provider, T: AsymCipher<P>>(
    ctx: *mut c_void,
    function: &CStr,
    out: Output,
    make: impl FnOnce(&mut T, &mut [u8]) -> Result<usize, P::Error>,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        on::<P, T, _>(ctx, function, |context, operation| {
            let needed = operation.max_size()?;
            out.fill(&context.get().core, needed, |made| make(operation, made))
        })
    }
}
