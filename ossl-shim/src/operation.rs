//! What the operations on a key have in common: contexts, their parameters, the caller's buffers.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::{ptr, slice};

use zeroize::Zeroizing;

use crate::abi::{OsslParam, UnsignedChar};
use crate::boundary::{Failure, enter};
use crate::core::Core;
use crate::fault::Fault;
use crate::ownership::{ContextRef, Held, HeldKey, Owned};
use crate::params::{Descriptor, ParamsIn, ParamsOut};
use crate::provider::Provider;

/// The context of one operation with a key (`EVP_PKEY_CTX`, `EVP_MD_CTX`).
pub trait OperationContext<P: Provider>: Sized + Send + 'static {
    /// Ended by [`Descriptor::END`].
    const GETTABLE: &'static [Descriptor];

    /// Ended by [`Descriptor::END`].
    const SETTABLE: &'static [Descriptor];

    fn new(provider: &P) -> Result<Self, P::Error>;

    /// A copy, `EVP_PKEY_CTX_dup`, `EVP_MD_CTX_copy`.
    fn duplicate(&self) -> Result<Self, P::Error>;

    fn set_params(&mut self, params: &ParamsIn<'_>) -> Result<(), P::Error>;

    fn params(&self, out: &mut ParamsOut<'_>) -> Result<(), P::Error>;
}

/// Enters an operation on the context `ctx`.
///
/// # Safety
/// `ctx` must be a context of `T` that no other thread uses.
pub(crate) unsafe fn on<P: Provider, T, R: Failure>(
    ctx: *mut c_void,
    function: &CStr,
    body: impl FnOnce(ContextRef<P>, &mut T) -> Result<R, P::Error>,
) -> R {
    // SAFETY: the caller's promise.
    let held = unsafe { Owned::<Held<P, T>>::borrow_mut(ctx) };
    match held {
        Ok(held) => enter(Ok(held.context), function, |context| {
            body(context, &mut held.value)
        }),
        Err(_) => R::FAILURE,
    }
}

/// Begins an operation with a key, then sets its parameters.
///
/// # Safety
/// `ctx` must be a context of `T` that no other thread uses, `keydata` null or a key of ours, and
/// `params` null or a terminated array.
pub(crate) unsafe fn start<P: Provider, T: OperationContext<P>>(
    ctx: *mut c_void,
    function: &CStr,
    keydata: *mut c_void,
    params: *const OsslParam,
    begin: impl FnOnce(&mut T, Option<&P::Key>) -> Result<(), P::Error>,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let (key, params) = (key::<P>(keydata), ParamsIn::new(params));
        on::<P, T, _>(ctx, function, |_, operation| {
            begin(operation, key)?;
            operation.set_params(&params)?;
            Ok(1)
        })
    }
}

/// # Safety
/// `keydata` must be null or a key of ours.
pub(crate) unsafe fn key<'a, P: Provider>(keydata: *const c_void) -> Option<&'a P::Key> {
    // SAFETY: the caller's promise.
    let held = unsafe { Owned::<HeldKey<P>>::borrow(keydata) };
    held.and_then(Held::key).ok()
}

/// # Safety
/// `data` must be null or have `size` readable bytes.
pub(crate) unsafe fn bytes<'a>(data: *const UnsignedChar, size: usize) -> &'a [u8] {
    if data.is_null() || size == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(data.cast(), size) }
}

/// Where the caller wants a result: `size` bytes, or null to ask for the size.
pub(crate) struct Output {
    pub(crate) data: *mut UnsignedChar,
    pub(crate) written: *mut usize,
    pub(crate) size: usize,
}

impl Output {
    /// Answers `needed` if there is no buffer, else fills it with what `make` makes in as many bytes;
    /// the error queue is shielded meanwhile.
    ///
    /// # Safety
    /// `data` must be null or have `size` writable bytes, and `written` be null or writable.
    pub(crate) unsafe fn fill<E: From<Fault>>(
        self,
        core: &Core,
        needed: usize,
        make: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<c_int, E> {
        // SAFETY: the caller's promise.
        let written = unsafe { self.written.as_mut() }.ok_or(Fault::Null("the result's size"))?;
        if self.data.is_null() {
            *written = needed;
            return Ok(1);
        }
        let given = self.size;
        if given < needed {
            return Err(Fault::BufferTooSmall { needed, given }.into());
        }
        // Into memory of our own: the caller's may be uninitialised, or be the input at the same
        // time. It may hold a secret.
        let mut made = Zeroizing::new(vec![0; needed]);
        let length = core.shielded(|| make(&mut made))?;
        let made = made.get(..length).ok_or(Fault::BufferTooSmall {
            needed: length,
            given: needed,
        })?;
        // SAFETY: `data` has `size` writable bytes, and `made` has no more than `needed`.
        unsafe { ptr::copy_nonoverlapping(made.as_ptr(), self.data.cast(), length) };
        *written = length;
        Ok(1)
    }
}

pub(crate) unsafe extern "C" fn newctx<P: Provider, T: OperationContext<P>>(
    provctx: *mut c_void,
) -> *mut c_void {
    // SAFETY: the core passes our context.
    let context = unsafe { ContextRef::<P>::new(provctx) };
    enter(context, c"newctx", |context| {
        let value = T::new(&context.get().provider)?;
        Ok(Owned::hand_over(Held { context, value }))
    })
}

/// For operations that are given a property query, which is for what they fetch; ours fetch nothing.
pub(crate) unsafe extern "C" fn newctx_with_query<P: Provider, T: OperationContext<P>>(
    provctx: *mut c_void,
    _query: *const c_char,
) -> *mut c_void {
    // SAFETY: the core's argument, passed on.
    unsafe { newctx::<P, T>(provctx) }
}

pub(crate) unsafe extern "C" fn freectx<P: Provider, T: OperationContext<P>>(ctx: *mut c_void) {
    // SAFETY: the core gives a context of ours back.
    unsafe { Owned::<Held<P, T>>::free_late(ctx) };
}

pub(crate) unsafe extern "C" fn dupctx<P: Provider, T: OperationContext<P>>(
    ctx: *mut c_void,
) -> *mut c_void {
    // SAFETY: the core passes a context of ours.
    unsafe {
        on::<P, T, _>(ctx, c"dupctx", |context, operation| {
            let value = operation.duplicate()?;
            Ok(Owned::hand_over(Held { context, value }))
        })
    }
}

pub(crate) unsafe extern "C" fn get_ctx_params<P: Provider, T: OperationContext<P>>(
    ctx: *mut c_void,
    params: *mut OsslParam,
) -> c_int {
    // SAFETY: the core passes our context and its terminated array.
    unsafe {
        let mut out = ParamsOut::new(params);
        on::<P, T, _>(ctx, c"get_ctx_params", |_, operation| {
            operation.params(&mut out)?;
            Ok(1)
        })
    }
}

pub(crate) unsafe extern "C" fn set_ctx_params<P: Provider, T: OperationContext<P>>(
    ctx: *mut c_void,
    params: *const OsslParam,
) -> c_int {
    // SAFETY: as `get_ctx_params`.
    unsafe {
        let params = ParamsIn::new(params);
        on::<P, T, _>(ctx, c"set_ctx_params", |_, operation| {
            operation.set_params(&params)?;
            Ok(1)
        })
    }
}

pub(crate) unsafe extern "C" fn gettable_ctx_params<P: Provider, T: OperationContext<P>>(
    _: *mut c_void,
    _: *mut c_void,
) -> *const OsslParam {
    Descriptor::table(T::GETTABLE)
}

pub(crate) unsafe extern "C" fn settable_ctx_params<P: Provider, T: OperationContext<P>>(
    _: *mut c_void,
    _: *mut c_void,
) -> *const OsslParam {
    Descriptor::table(T::SETTABLE)
}
