//! Entries that sign.

use std::ffi::{CStr, c_char, c_int, c_void};

use super::{Signature, start_digest};
use crate::abi::{OsslParam, UnsignedChar};
use crate::operation::{Output, bytes, on, start};
use crate::provider::Provider;

pub(super) unsafe extern "C" fn sign_init<P: Provider, T: Signature<P>>(
    ctx: *mut c_void,
    keydata: *mut c_void,
    params: *const OsslParam,
) -> c_int {
    // SAFETY: the core's arguments, passed on.
    unsafe { start::<P, T>(ctx, c"signature_sign_init", keydata, params, T::sign_init) }
}

pub(super) unsafe extern "C" fn digest_sign_init<P: Provider, T: Signature<P>>(
    ctx: *mut c_void,
    digest: *const c_char,
    keydata: *mut c_void,
    params: *const OsslParam,
) -> c_int {
    // SAFETY: the core's arguments, passed on.
    unsafe {
        start_digest::<P, T>(
            ctx,
            c"signature_digest_sign_init",
            digest,
            keydata,
            params,
            T::digest_sign_init,
        )
    }
}

pub(super) unsafe extern "C" fn digest_sign_update<P: Provider, T: Signature<P>>(
    ctx: *mut c_void,
    data: *const UnsignedChar,
    size: usize,
) -> c_int {
    // SAFETY: the core passes our context and `size` readable bytes.
    unsafe {
        let data = bytes(data, size);
        on::<P, T, _>(ctx, c"signature_digest_sign_update", |_, operation| {
            operation.digest_sign_update(data)?;
            Ok(1)
        })
    }
}

pub(super) unsafe extern "C" fn sign<P: Provider, T: Signature<P>>(
    ctx: *mut c_void,
    signature: *mut UnsignedChar,
    written: *mut usize,
    size: usize,
    data: *const UnsignedChar,
    data_size: usize,
) -> c_int {
    // SAFETY: the core passes our context, its buffers and their sizes.
    unsafe {
        let data = bytes(data, data_size);
        let out = Output {
            data: signature,
            written,
            size,
        };
        into_buffer::<P, T>(ctx, c"signature_sign", out, |operation, made| {
            operation.sign(data, made)
        })
    }
}

pub(super) unsafe extern "C" fn digest_sign<P: Provider, T: Signature<P>>(
    ctx: *mut c_void,
    signature: *mut UnsignedChar,
    written: *mut usize,
    size: usize,
    message: *const UnsignedChar,
    message_size: usize,
) -> c_int {
    // SAFETY: as `sign`.
    unsafe {
        let message = bytes(message, message_size);
        let out = Output {
            data: signature,
            written,
            size,
        };
        into_buffer::<P, T>(ctx, c"signature_digest_sign", out, |operation, made| {
            operation.digest_sign(message, made)
        })
    }
}

pub(super) unsafe extern "C" fn digest_sign_final<P: Provider, T: Signature<P>>(
    ctx: *mut c_void,
    signature: *mut UnsignedChar,
    written: *mut usize,
    size: usize,
) -> c_int {
    let out = Output {
        data: signature,
        written,
        size,
    };
    // SAFETY: as `sign`.
    unsafe {
        into_buffer::<P, T>(
            ctx,
            c"signature_digest_sign_final",
            out,
            T::digest_sign_final,
        )
    }
}

/// Answers the size if there is no buffer, else signs into it.
///
/// # Safety
/// `ctx` must be a context of `T` that no other thread uses; for `out` see [`Output::fill`].
unsafe fn into_buffer<P: Provider, T: Signature<P>>(
    ctx: *mut c_void,
    function: &CStr,
    out: Output,
    sign: impl FnOnce(&mut T, &mut [u8]) -> Result<usize, P::Error>,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        on::<P, T, _>(ctx, function, |context, operation| {
            let needed = operation.max_size()?;
            out.fill(&context.get().core, needed, |made| sign(operation, made))
        })
    }
}
