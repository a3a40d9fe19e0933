//! Key exchange, provider-keyexch(7).

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;

use crate::abi::functions::{
    KEYEXCH_DERIVE, KEYEXCH_DUPCTX, KEYEXCH_FREECTX, KEYEXCH_GET_CTX_PARAMS,
    KEYEXCH_GETTABLE_CTX_PARAMS, KEYEXCH_INIT, KEYEXCH_NEWCTX, KEYEXCH_SET_CTX_PARAMS,
    KEYEXCH_SET_PEER, KEYEXCH_SETTABLE_CTX_PARAMS,
};
use crate::abi::{OsslDispatch, OsslParam, UnsignedChar};
use crate::operation::{
    OperationContext, Output, dupctx, freectx, get_ctx_params, gettable_ctx_params, key, newctx,
    on, set_ctx_params, settable_ctx_params, start,
};
use crate::provider::Provider;

/// A key exchange algorithm; the value is one operation's context.
pub trait KeyExchange<P: Provider>: OperationContext<P> {
    /// Starts with our key. Without one, the one of the last start is used again.
    fn init(&mut self, key: Option<&P::Key>) -> Result<(), P::Error>;

    /// Sets the other side's key.
    fn set_peer(&mut self, peer: Option<&P::Key>) -> Result<(), P::Error>;

    /// The size of the secret in bytes.
    fn size(&self) -> Result<usize, P::Error>;

    /// Whether a caller with a smaller buffer gets the beginning of the secret.
    fn truncates(&self) -> bool;

    /// Fills `secret`, which has [`Self::size`] bytes.
    fn derive(&mut self, secret: &mut [u8]) -> Result<(), P::Error>;
}

pub(crate) struct Table<P, T>(PhantomData<(P, T)>);

impl<P: Provider, T: KeyExchange<P>> Table<P, T> {
    pub(crate) const DISPATCH: &'static [OsslDispatch] = &[
        KEYEXCH_NEWCTX.entry(newctx::<P, T>),
        KEYEXCH_FREECTX.entry(freectx::<P, T>),
        KEYEXCH_DUPCTX.entry(dupctx::<P, T>),
        KEYEXCH_INIT.entry(init::<P, T>),
        KEYEXCH_SET_PEER.entry(set_peer::<P, T>),
        KEYEXCH_DERIVE.entry(derive::<P, T>),
        KEYEXCH_GET_CTX_PARAMS.entry(get_ctx_params::<P, T>),
        KEYEXCH_GETTABLE_CTX_PARAMS.entry(gettable_ctx_params::<P, T>),
        KEYEXCH_SET_CTX_PARAMS.entry(set_ctx_params::<P, T>),
        KEYEXCH_SETTABLE_CTX_PARAMS.entry(settable_ctx_params::<P, T>),
        OsslDispatch::END,
    ];
}

unsafe extern "C" fn init<P: Provider, T: KeyExchange<P>>(
    ctx: *mut c_void,
    keydata: *mut c_void,
    params: *const OsslParam,
) -> c_int {
    // SAFETY: the core's arguments, passed on.
    unsafe { start::<P, T>(ctx, c"keyexch_init", keydata, params, T::init) }
}

unsafe extern "C" fn set_peer<P: Provider, T: KeyExchange<P>>(
    ctx: *mut c_void,
    keydata: *mut c_void,
) -> c_int {
    // SAFETY: the core passes our context and a key of ours, which it imported if it was another's.
    unsafe {
        let peer = key::<P>(keydata);
        on::<P, T, _>(ctx, c"keyexch_set_peer", |_, operation| {
            operation.set_peer(peer)?;
            Ok(1)
        })
    }
}

unsafe extern "C" fn derive<P: Provider, T: KeyExchange<P>>(
    ctx: *mut c_void,
    secret: *mut UnsignedChar,
    written: *mut usize,
    size: usize,
) -> c_int {
    let out = Output {
        data: secret,
        written,
        size,
    };
    // SAFETY: the core passes our context, its buffer and its size.
    unsafe {
        on::<P, T, _>(ctx, c"keyexch_derive", |context, operation| {
            let needed = operation.size()?;
            let truncated = operation.truncates() && !secret.is_null();
            let wanted = if truncated { needed.min(size) } else { needed };
            out.fill(&context.get().core, wanted, |made| {
                let mut whole = zeroize::Zeroizing::new(vec![0; needed]);
                operation.derive(&mut whole)?;
                made.copy_from_slice(&whole[..wanted]);
                Ok(wanted)
            })
        })
    }
}
