//! Entries that verify.

use std::ffi::{CStr, c_char, c_int, c_void};

use super::{Signature, start_digest};
use crate::abi::{OsslParam, UnsignedChar};
use crate::operation::{bytes, on, start};
use crate::provider::Provider;

pub(super) unsafe extern "C" fn verify_init<P: Provider, T: Signature<P>>(
    ctx: *mut c_void,
    keydata: *mut c_void,
    params: *const OsslParam,
) -> c_int {
    // SAFETY: the core's arguments, passed on.
    unsafe {
        start::<P, T>(
            ctx,
            c"signature_verify_init",
            keydata,
            params,
            T::verify_init,
        )
    }
}

pub(super) unsafe extern "C" fn digest_verify_init<P: Provider, T: Signature<P>>(
    ctx: *mut c_void,
    digest: *const c_char,
    keydata: *mut c_void,
    params: *const OsslParam,
) -> c_int {
    // SAFETY: the core's arguments, passed on.
    unsafe {
        start_digest::<P, T>(
            ctx,
            c"signature_digest_verify_init",
            digest,
            keydata,
            params,
            T::digest_verify_init,
        )
    }
}

pub(super) unsafe extern "C" fn verify<P: Provider, T: Signature<P>>(
    ctx: *mut c_void,
    signature: *const UnsignedChar,
    size: usize,
    data: *const UnsignedChar,
    data_size: usize,
) -> c_int {
    // SAFETY: the core passes our context, its buffers and their sizes.
    unsafe {
        let (signature, data) = (bytes(signature, size), bytes(data, data_size));
        verdict::<P, T>(ctx, c"signature_verify", |operation| {
            operation.verify(data, signature)
        })
    }
}

pub(super) unsafe extern "C" fn digest_verify<P: Provider, T: Signature<P>>(
    ctx: *mut c_void,
    signature: *const UnsignedChar,
    size: usize,
    message: *const UnsignedChar,
    message_size: usize,
) -> c_int {
    // SAFETY: as `verify`.
    unsafe {
        let (signature, message) = (bytes(signature, size), bytes(message, message_size));
        verdict::<P, T>(ctx, c"signature_digest_verify", |operation| {
            operation.digest_verify(message, signature)
        })
    }
}

pub(super) unsafe extern "C" fn digest_verify_final<P: Provider, T: Signature<P>>(
    ctx: *mut c_void,
    signature: *const UnsignedChar,
    size: usize,
) -> c_int {
    // SAFETY: as `verify`.
    unsafe {
        let signature = bytes(signature, size);
        verdict::<P, T>(ctx, c"signature_digest_verify_final", |operation| {
            operation.digest_verify_final(signature)
        })
    }
}

/// 1 for a good signature, 0 for a bad one or an error, which is in the queue then.
///
/// # Safety
/// `ctx` must be a context of `T` that no other thread uses.
unsafe fn verdict<P: Provider, T: Signature<P>>(
    ctx: *mut c_void,
    function: &CStr,
    verify: impl FnOnce(&mut T) -> Result<bool, P::Error>,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        on::<P, T, _>(ctx, function, |context, operation| {
            let core = &context.get().core;
            Ok(core.shielded(|| verify(operation))?.into())
        })
    }
}
