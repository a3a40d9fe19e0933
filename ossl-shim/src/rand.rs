//! Random numbers, provider-rand(7): a source that has no state but whether it was started, so that any
//! number of threads may use one context at a time.

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use zeroize::{Zeroize, Zeroizing};

use crate::abi::functions::{
    RAND_CLEAR_SEED, RAND_ENABLE_LOCKING, RAND_FREECTX, RAND_GENERATE, RAND_GET_CTX_PARAMS,
    RAND_GET_SEED, RAND_GETTABLE_CTX_PARAMS, RAND_INSTANTIATE, RAND_LOCK, RAND_NEWCTX, RAND_NONCE,
    RAND_RESEED, RAND_UNINSTANTIATE, RAND_UNLOCK, RAND_VERIFY_ZEROIZATION,
};
use crate::abi::{OsslDispatch, OsslParam, UnsignedChar, rand_state};
use crate::boundary::{Failure, enter, quietly};
use crate::core::Working;
use crate::fault::Fault;
use crate::ownership::{ContextRef, Held, Owned};
use crate::params::{Descriptor, ParamsOut, names};
use crate::provider::Provider;

/// A source of random numbers.
pub trait Rand<P: Provider>: 'static {
    /// The entropy of what it gives, in bits.
    const STRENGTH: u32;

    /// The most bytes that one call is asked for.
    const MAX_REQUEST: usize;

    /// Fills `bytes`. Contexts are made and started without a call of it.
    fn generate(provider: &P, bytes: &mut [u8]) -> Result<(), P::Error>;

    /// The same for a library that this thread's own call of the hardware goes through, and that takes
    /// the program's generator: it can't be answered by the hardware.
    fn generate_below(bytes: &mut [u8]) -> Result<(), P::Error>;
}

pub(crate) struct Table<P, T>(PhantomData<(P, T)>);

impl<P: Provider, T: Rand<P>> Table<P, T> {
    pub(crate) const DISPATCH: &'static [OsslDispatch] = &[
        RAND_NEWCTX.entry(newctx::<P>),
        RAND_FREECTX.entry(freectx::<P>),
        RAND_INSTANTIATE.entry(instantiate::<P, T>),
        RAND_UNINSTANTIATE.entry(uninstantiate::<P>),
        RAND_GENERATE.entry(generate::<P, T>),
        RAND_RESEED.entry(reseed::<P>),
        RAND_NONCE.entry(nonce::<P, T>),
        RAND_GET_SEED.entry(get_seed::<P, T>),
        RAND_CLEAR_SEED.entry(clear_seed),
        RAND_ENABLE_LOCKING.entry(no_lock_needed),
        RAND_LOCK.entry(no_lock_needed),
        RAND_UNLOCK.entry(unlock),
        RAND_GET_CTX_PARAMS.entry(get_ctx_params::<P, T>),
        RAND_GETTABLE_CTX_PARAMS.entry(gettable_ctx_params),
        RAND_VERIFY_ZEROIZATION.entry(verify_zeroization),
        OsslDispatch::END,
    ];
}

/// A context: one of [`rand_state`].
type Started = AtomicI32;

/// Enters a function on the context `ctx`, which other threads may use at the same time.
///
/// # Safety
/// `ctx` must be a context of ours.
unsafe fn on<P: Provider, R: Failure>(
    ctx: *mut c_void,
    function: &CStr,
    body: impl FnOnce(ContextRef<P>, &Started) -> Result<R, P::Error>,
) -> R {
    // SAFETY: the caller's promise; contexts are only borrowed shared.
    match unsafe { Owned::<Held<P, Started>>::borrow(ctx) } {
        Ok(held) => enter(Ok(held.context), function, |context| {
            body(context, &held.value)
        }),
        Err(_) => R::FAILURE,
    }
}

/// The parent is for sources that stretch another one's numbers.
unsafe extern "C" fn newctx<P: Provider>(
    provctx: *mut c_void,
    _parent: *mut c_void,
    _parent_calls: *const OsslDispatch,
) -> *mut c_void {
    // SAFETY: the core passes our context.
    let context = unsafe { ContextRef::<P>::new(provctx) };
    enter(context, c"rand_newctx", |context| {
        let value = Started::new(rand_state::UNINITIALISED);
        Ok(Owned::hand_over(Held { context, value }))
    })
}

unsafe extern "C" fn freectx<P: Provider>(ctx: *mut c_void) {
    // SAFETY: the core gives a context of ours back.
    unsafe { Owned::<Held<P, Started>>::free_late(ctx) };
}

/// Nothing is drawn yet: OpenSSL 3.0 calls this for its first source with a lock held that whoever draws
/// random numbers takes, and libraries that speak to hardware may do so.
unsafe extern "C" fn instantiate<P: Provider, T: Rand<P>>(
    ctx: *mut c_void,
    strength: u32,
    _prediction_resistance: c_int,
    _personalisation: *const UnsignedChar,
    _personalisation_size: usize,
    _params: *const OsslParam,
) -> c_int {
    // SAFETY: the core passes our context.
    unsafe {
        on::<P, _>(ctx, c"rand_instantiate", |_, started| {
            check_strength::<P, T>(strength)?;
            started.store(rand_state::READY, Ordering::Relaxed);
            Ok(1)
        })
    }
}

unsafe extern "C" fn uninstantiate<P: Provider>(ctx: *mut c_void) -> c_int {
    // SAFETY: the core passes our context.
    unsafe {
        on::<P, _>(ctx, c"rand_uninstantiate", |_, started| {
            started.store(rand_state::UNINITIALISED, Ordering::Relaxed);
            Ok(1)
        })
    }
}

unsafe extern "C" fn generate<P: Provider, T: Rand<P>>(
    ctx: *mut c_void,
    out: *mut UnsignedChar,
    size: usize,
    strength: u32,
    _prediction_resistance: c_int,
    _additional: *const UnsignedChar,
    _additional_size: usize,
) -> c_int {
    // SAFETY: the core passes our context and `size` writable bytes.
    unsafe {
        on::<P, _>(ctx, c"rand_generate", |context, started| {
            check_strength::<P, T>(strength)?;
            let mut done = 0;
            while done < size {
                let drawn = draw::<P, T>(context, started, (size - done).min(T::MAX_REQUEST))?;
                ptr::copy_nonoverlapping(drawn.as_ptr(), out.cast::<u8>().add(done), drawn.len());
                done += drawn.len();
            }
            Ok(1)
        })
    }
}

/// What the source gives is always fresh.
unsafe extern "C" fn reseed<P: Provider>(
    ctx: *mut c_void,
    _prediction_resistance: c_int,
    _entropy: *const UnsignedChar,
    _entropy_size: usize,
    _additional: *const UnsignedChar,
    _additional_size: usize,
) -> c_int {
    // SAFETY: the core passes our context.
    unsafe {
        on::<P, _>(ctx, c"rand_reseed", |_, started| {
            Ok(check_started(started).map(|()| 1)?)
        })
    }
}

/// A nonce for a generator that has this source for its parent; without a buffer, its size.
unsafe extern "C" fn nonce<P: Provider, T: Rand<P>>(
    ctx: *mut c_void,
    out: *mut UnsignedChar,
    _strength: u32,
    least: usize,
    _most: usize,
) -> usize {
    // SAFETY: the core passes our context and a buffer of the size that it was told.
    unsafe {
        on::<P, _>(ctx, c"rand_nonce", |context, started| {
            if !out.is_null() {
                let drawn = draw::<P, T>(context, started, least)?;
                ptr::copy_nonoverlapping(drawn.as_ptr(), out.cast(), least);
            }
            Ok(least)
        })
    }
}

/// Bytes for a generator that has this source for its parent, which gives them back to `clear_seed`.
unsafe extern "C" fn get_seed<P: Provider, T: Rand<P>>(
    ctx: *mut c_void,
    buffer: *mut *mut UnsignedChar,
    entropy: c_int,
    least: usize,
    most: usize,
    _prediction_resistance: c_int,
    _additional: *const UnsignedChar,
    _additional_size: usize,
) -> usize {
    // SAFETY: the core passes our context and its out-parameter.
    unsafe {
        on::<P, _>(ctx, c"rand_get_seed", |context, started| {
            let buffer = buffer.as_mut().ok_or(Fault::Null("the seed's buffer"))?;
            let bits = usize::try_from(entropy).unwrap_or(0);
            let needed = bits.div_ceil(8).max(least);
            if needed > most {
                return Err(Fault::BufferTooSmall {
                    needed,
                    given: most,
                }
                .into());
            }
            let mut drawn = draw::<P, T>(context, started, needed)?;
            let seed = std::mem::take(&mut *drawn).into_boxed_slice();
            *buffer = Box::into_raw(seed).cast();
            Ok(needed)
        })
    }
}

unsafe extern "C" fn clear_seed(_: *mut c_void, buffer: *mut UnsignedChar, size: usize) {
    if buffer.is_null() {
        return;
    }
    quietly((), || {
        // SAFETY: the core gives back what `get_seed` handed over, with the size that it answered.
        let mut seed =
            unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(buffer.cast::<u8>(), size)) };
        seed.zeroize();
    });
}

unsafe extern "C" fn no_lock_needed(_: *mut c_void) -> c_int {
    1
}

unsafe extern "C" fn unlock(_: *mut c_void) {}

unsafe extern "C" fn get_ctx_params<P: Provider, T: Rand<P>>(
    ctx: *mut c_void,
    params: *mut OsslParam,
) -> c_int {
    // SAFETY: the core passes our context and its terminated array.
    unsafe {
        let mut out = ParamsOut::new(params);
        on::<P, _>(ctx, c"rand_get_ctx_params", |_, started| {
            out.int(names::RAND_STATE, started.load(Ordering::Relaxed))?;
            out.int(names::RAND_STRENGTH, T::STRENGTH as c_int)?;
            out.int(names::RAND_MAX_REQUEST, T::MAX_REQUEST as c_int)?;
            Ok(1)
        })
    }
}

unsafe extern "C" fn gettable_ctx_params(_: *mut c_void, _: *mut c_void) -> *const OsslParam {
    const GETTABLE: &[Descriptor] = &[
        Descriptor::int(names::RAND_STATE),
        Descriptor::unsigned(names::RAND_STRENGTH),
        Descriptor::unsigned(names::RAND_MAX_REQUEST),
        Descriptor::END,
    ];
    Descriptor::table(GETTABLE)
}

/// There is nothing in a context that could be left over.
unsafe extern "C" fn verify_zeroization(_: *mut c_void) -> c_int {
    1
}

/// `size` bytes, in memory of our own: the caller's may be uninitialised.
fn draw<P: Provider, T: Rand<P>>(
    context: ContextRef<P>,
    started: &Started,
    size: usize,
) -> Result<Zeroizing<Vec<u8>>, P::Error> {
    check_started(started)?;
    let mut bytes = Zeroizing::new(vec![0; size]);
    if Working::is_under_way() {
        T::generate_below(&mut bytes)?;
        return Ok(bytes);
    }
    let inner = context.get();
    inner
        .core
        .shielded(|| T::generate(&inner.provider, &mut bytes))?;
    Ok(bytes)
}

fn check_started(started: &Started) -> Result<(), Fault> {
    match started.load(Ordering::Relaxed) {
        rand_state::READY => Ok(()),
        _ => Err(Fault::Param {
            name: "state".into(),
            problem: "the source of random numbers was not instantiated",
        }),
    }
}

fn check_strength<P: Provider, T: Rand<P>>(strength: u32) -> Result<(), Fault> {
    match strength <= T::STRENGTH {
        true => Ok(()),
        false => Err(Fault::Param {
            name: "strength".into(),
            problem: "more than the source of random numbers has",
        }),
    }
}
