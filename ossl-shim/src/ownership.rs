//! Who owns the pointers that OpenSSL keeps for us.
//!
//! OpenSSL holds three kinds of objects of ours: the provider context, operation contexts
//! (`newctx` … `freectx`) and keys (`load` … `free`). Each is a `Box` that leaves with
//! [`Owned::hand_over`] and returns with [`Owned::free`]; in between it is only borrowed.
//! Every object carries the provider context it belongs to, because many functions of the ABI are
//! not given it.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::NonNull;

use crate::boundary::quietly;
use crate::core::Core;
use crate::fault::Fault;
use crate::provider::Provider;

/// A provider in one library context: what `provctx` points to.
pub(crate) struct Context<P> {
    pub(crate) core: Core,
    pub(crate) provider: P,
}

/// A reference to the provider context that an object of OpenSSL's may keep.
pub(crate) struct ContextRef<P>(NonNull<Context<P>>);

impl<P> Clone for ContextRef<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for ContextRef<P> {}

// SAFETY: it is a shared reference to a `Context`, whose parts are Sync (`Provider: Sync`).
unsafe impl<P: Sync> Send for ContextRef<P> {}
// SAFETY: as above.
unsafe impl<P: Sync> Sync for ContextRef<P> {}

impl<P> ContextRef<P> {
    /// # Safety
    /// `provctx` must be the pointer that `OSSL_provider_init` gave to the core. The core tears a
    /// provider down only when no method, and so no key or context of it, is left, hence the
    /// context outlives everything that keeps this reference.
    pub(crate) unsafe fn new(provctx: *mut c_void) -> Result<Self, Fault> {
        NonNull::new(provctx.cast())
            .map(Self)
            .ok_or(Fault::Null("the provider context"))
    }

    pub(crate) fn get(&self) -> &Context<P> {
        // SAFETY: see `new`.
        unsafe { self.0.as_ref() }
    }
}

/// An object of ours with the provider context it belongs to.
pub(crate) struct Held<P, T> {
    pub(crate) context: ContextRef<P>,
    pub(crate) value: T,
}

/// A key, as the core's `keydata` points to it; none in what `keymgmt_new` makes.
pub(crate) type HeldKey<P> = Held<P, Option<<P as Provider>::Key>>;

impl<P, K> Held<P, Option<K>> {
    pub(crate) fn key(&self) -> Result<&K, Fault> {
        self.value.as_ref().ok_or(Fault::Null("the key"))
    }
}

/// A pointer that the core owns until it gives it back to the matching free function.
pub(crate) struct Owned<T>(PhantomData<T>);

impl<T> Owned<T> {
    pub(crate) fn hand_over(value: T) -> *mut c_void {
        Box::into_raw(Box::new(value)).cast()
    }

    /// Drops what the core gives back.
    ///
    /// # Safety
    /// `pointer` must be null or come from [`Self::hand_over`] of the same `T`, and must not be
    /// used afterwards.
    pub(crate) unsafe fn free(pointer: *mut c_void) {
        if pointer.is_null() {
            return;
        }
        // SAFETY: the caller's promise.
        let value = unsafe { Box::from_raw(pointer.cast::<T>()) };
        quietly((), || drop(value));
    }

    /// # Safety
    /// `pointer` must be null or come from [`Self::hand_over`] of the same `T` and not be mutably
    /// borrowed during `'a`.
    pub(crate) unsafe fn borrow<'a>(pointer: *const c_void) -> Result<&'a T, Fault> {
        // SAFETY: the caller's promise.
        unsafe { pointer.cast::<T>().as_ref() }.ok_or(Fault::Null("the object"))
    }

    /// # Safety
    /// `pointer` must be null or come from [`Self::hand_over`] of the same `T` and not be borrowed
    /// otherwise during `'a`: OpenSSL's operation contexts belong to one thread at a time.
    pub(crate) unsafe fn borrow_mut<'a>(pointer: *mut c_void) -> Result<&'a mut T, Fault> {
        // SAFETY: the caller's promise.
        unsafe { pointer.cast::<T>().as_mut() }.ok_or(Fault::Null("the context"))
    }
}

impl<P, T> Owned<Held<P, T>> {
    /// Drops a key or context that a program may have kept beyond `OPENSSL_cleanup`.
    ///
    /// # Safety
    /// As [`Self::free`].
    pub(crate) unsafe fn free_late(pointer: *mut c_void) {
        // SAFETY: the caller's promise.
        unsafe {
            if let Ok(held) = Self::borrow(pointer) {
                held.context.get().core.outlive_cleanup();
            }
            Self::free(pointer);
        }
    }
}

/// What a store or decoder hands to the core instead of a key, and `keymgmt_load` turns into one
/// within the same call: an `OSSL_OBJECT_PARAM_REFERENCE`.
#[repr(C)]
pub(crate) struct KeyReference<P: Provider> {
    marker: usize,
    context: ContextRef<P>,
    key: NonNull<P::Key>,
}

impl<P: Provider> KeyReference<P> {
    /// Distinguishes our references from bytes that are none.
    fn expected_marker() -> usize {
        P::NAME.as_ptr() as usize ^ size_of::<Self>()
    }

    pub(crate) fn new(context: ContextRef<P>, key: &P::Key) -> Self {
        Self {
            marker: Self::expected_marker(),
            context,
            key: NonNull::from(key),
        }
    }

    /// The reference as the bytes that a parameter carries.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        // SAFETY: three pointer-sized fields without padding.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), size_of::<Self>()) }
    }

    /// # Safety
    /// `reference` must point to `size` readable bytes; if they are one of our references, the key
    /// it was made from must still be alive (the core promises both: the reference is only valid
    /// during the callback it was handed to).
    pub(crate) unsafe fn resolve(reference: *const c_void, size: usize) -> Option<HeldKey<P>> {
        if reference.is_null() || size != size_of::<Self>() {
            return None;
        }
        // SAFETY: `size` bytes are readable; the marker is checked before the pointers are used.
        unsafe {
            let marker = reference.cast::<usize>().read_unaligned();
            if marker != Self::expected_marker() {
                return None;
            }
            let reference = reference.cast::<Self>().read_unaligned();
            Some(Held {
                context: reference.context,
                value: Some(reference.key.as_ref().clone()),
            })
        }
    }
}
