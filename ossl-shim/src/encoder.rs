//! Encoders, provider-encoder(7): from a key to the bytes of a file.

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;

use crate::abi::functions::{
    ENCODER_DOES_SELECTION, ENCODER_ENCODE, ENCODER_FREECTX, ENCODER_NEWCTX,
};
use crate::abi::{CoreBio, OsslDispatch, OsslParam, PassphraseCallback};
use crate::bio::Bio;
use crate::boundary::{enter, quietly};
use crate::keymgmt::Selection;
use crate::ownership::{ContextRef, Held, HeldKey, Owned};
use crate::provider::Provider;

/// One way to write a key.
pub trait Encoder<P: Provider>: 'static {
    /// Whether it writes what is selected.
    fn does(selection: Selection) -> bool;

    fn encode(
        provider: &P,
        key: &P::Key,
        selection: Selection,
        out: &mut Bio<'_>,
    ) -> Result<(), P::Error>;
}

pub(crate) struct Table<P, T>(PhantomData<(P, T)>);

impl<P: Provider, T: Encoder<P>> Table<P, T> {
    pub(crate) const DISPATCH: &'static [OsslDispatch] = &[
        ENCODER_NEWCTX.entry(newctx::<P>),
        ENCODER_FREECTX.entry(freectx::<P>),
        ENCODER_DOES_SELECTION.entry(does_selection::<P, T>),
        ENCODER_ENCODE.entry(encode::<P, T>),
        OsslDispatch::END,
    ];
}

unsafe extern "C" fn newctx<P: Provider>(provctx: *mut c_void) -> *mut c_void {
    quietly(std::ptr::null_mut(), || {
        // SAFETY: the core passes our context.
        match unsafe { ContextRef::<P>::new(provctx) } {
            Ok(context) => Owned::hand_over(Held { context, value: () }),
            Err(_) => std::ptr::null_mut(),
        }
    })
}

unsafe extern "C" fn freectx<P: Provider>(ctx: *mut c_void) {
    // SAFETY: the core gives our context back.
    unsafe { Owned::<Held<P, ()>>::free(ctx) };
}

unsafe extern "C" fn does_selection<P: Provider, T: Encoder<P>>(
    _: *mut c_void,
    selection: c_int,
) -> c_int {
    quietly(0, || c_int::from(T::does(Selection::new(selection))))
}

unsafe extern "C" fn encode<P: Provider, T: Encoder<P>>(
    ctx: *mut c_void,
    out: *mut CoreBio,
    key: *const c_void,
    _abstract: *const OsslParam,
    selection: c_int,
    _passphrase: Option<PassphraseCallback>,
    _passphrase_data: *mut c_void,
) -> c_int {
    // SAFETY: the core passes our context; without an `import_object` function of ours, the object
    // is a key of ours.
    let (held, key) = unsafe {
        (
            Owned::<Held<P, ()>>::borrow(ctx),
            Owned::<HeldKey<P>>::borrow(key),
        )
    };
    let Ok(held) = held else { return 0 };
    enter(Ok(held.context), c"encoder_encode", |context| {
        let inner = context.get();
        let key = key.and_then(Held::key)?;
        // SAFETY: the core lends the BIO for this call.
        let mut bio = unsafe { Bio::new(out, inner.core.calls()) }?;
        T::encode(&inner.provider, key, Selection::new(selection), &mut bio)?;
        Ok(1)
    })
}
