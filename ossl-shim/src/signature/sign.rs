//! Entries that sign.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use super::{Signature, bytes, on, start, start_digest};
use crate::abi::{OsslParam, UnsignedChar};
use crate::fault::Fault;
use crate::ownership::ContextRef;
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
        on::<P, T>(ctx, c"signature_digest_sign_update", |_, operation| {
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
        let out = Out {
            signature,
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
        let out = Out {
            signature,
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
    let out = Out {
        signature,
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

/// Where the caller wants the signature: `size` bytes, or null to ask for the size.
struct Out {
    signature: *mut UnsignedChar,
    written: *mut usize,
    size: usize,
}

/// Answers the size if there is no buffer, else signs into it.
///
/// # Safety
/// `ctx` must be a context of `T` that no other thread uses; `out.signature` must be null or have
/// `out.size` writable bytes, and `out.written` must be null or writable.
unsafe fn into_buffer<P: Provider, T: Signature<P>>(
    ctx: *mut c_void,
    function: &CStr,
    out: Out,
    sign: impl FnOnce(&mut T, &mut [u8]) -> Result<usize, P::Error>,
) -> c_int {
    let work = |context: ContextRef<P>, operation: &mut T| {
        // SAFETY: the caller's promise.
        let written = unsafe { out.written.as_mut() }.ok_or(Fault::Null("the signature's size"))?;
        let needed = operation.max_size()?;
        if out.signature.is_null() {
            *written = needed;
            return Ok(1);
        }
        let given = out.size;
        if given < needed {
            return Err(Fault::BufferTooSmall { needed, given }.into());
        }
        // Into memory of our own: the caller's may be uninitialised, or be the input at the same
        // time.
        let mut made = vec![0; needed];
        let core = &context.get().core;
        let length = core.shielded(|| sign(operation, &mut made))?;
        let made = made.get(..length).ok_or(Fault::BufferTooSmall {
            needed: length,
            given: needed,
        })?;
        // SAFETY: `signature` has `size` writable bytes, and `made` has no more than `needed`.
        unsafe { ptr::copy_nonoverlapping(made.as_ptr(), out.signature.cast(), length) };
        *written = length;
        Ok(1)
    };
    // SAFETY: the caller's promise.
    unsafe { on::<P, T>(ctx, function, work) }
}
