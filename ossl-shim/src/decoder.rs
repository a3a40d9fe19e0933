//! Decoders, provider-decoder(7): from the bytes of a file to a key.

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;

use crate::abi::functions::{
    DECODER_DECODE, DECODER_DOES_SELECTION, DECODER_EXPORT_OBJECT, DECODER_FREECTX, DECODER_NEWCTX,
};
use crate::abi::{Callback, CoreBio, OsslDispatch, PassphraseCallback, names, object};
use crate::bio::Bio;
use crate::boundary::{enter, quietly};
use crate::fault::Fault;
use crate::keymgmt::Selection;
use crate::ownership::{ContextRef, Held, KeyReference, Owned};
use crate::params::ParamList;
use crate::passphrase::Passphrase;
use crate::provider::Provider;

/// One step of decoding.
pub trait Decoder<P: Provider>: 'static {
    /// Whether it can produce what is selected.
    fn does(selection: Selection) -> bool;

    /// Decodes what `input` holds. `Ok(None)` says "not mine", and OpenSSL tries the next decoder;
    /// an error ends the whole attempt.
    fn decode(
        provider: &P,
        input: &mut Bio<'_>,
        passphrase: &mut Passphrase<'_>,
    ) -> Result<Option<Decoded<P::Key>>, P::Error>;

    /// Called when what was decoded has gone through the steps that follow. An error says why they
    /// made nothing of it: OSSL_STORE drops what they put into the queue themselves.
    fn delivered(_: &P) -> Result<(), P::Error> {
        Ok(())
    }
}

/// What a step gives to the next one, or to the program.
pub enum Decoded<K> {
    /// Bytes for decoders that declare `structure=` with this name.
    Data {
        der: Vec<u8>,
        structure: &'static CStr,
    },
    /// A key of this provider with the name of its key type.
    Key { key: K, key_type: &'static CStr },
}

pub(crate) struct Table<P, T>(PhantomData<(P, T)>);

impl<P: Provider, T: Decoder<P>> Table<P, T> {
    pub(crate) const DISPATCH: &'static [OsslDispatch] = &[
        DECODER_NEWCTX.entry(newctx::<P>),
        DECODER_FREECTX.entry(freectx::<P>),
        DECODER_DOES_SELECTION.entry(does_selection::<P, T>),
        DECODER_DECODE.entry(decode::<P, T>),
        DECODER_EXPORT_OBJECT.entry(export_object),
        OsslDispatch::END,
    ];
}

unsafe extern "C" fn newctx<P: Provider>(provctx: *mut c_void) -> *mut c_void {
    quietly(ptr::null_mut(), || {
        // SAFETY: the core passes our context.
        match unsafe { ContextRef::<P>::new(provctx) } {
            Ok(context) => Owned::hand_over(Held { context, value: () }),
            Err(_) => ptr::null_mut(),
        }
    })
}

unsafe extern "C" fn freectx<P: Provider>(ctx: *mut c_void) {
    // SAFETY: the core gives our context back.
    unsafe { Owned::<Held<P, ()>>::free(ctx) };
}

unsafe extern "C" fn does_selection<P: Provider, T: Decoder<P>>(
    _: *mut c_void,
    selection: c_int,
) -> c_int {
    quietly(0, || c_int::from(T::does(Selection::new(selection))))
}

unsafe extern "C" fn decode<P: Provider, T: Decoder<P>>(
    ctx: *mut c_void,
    input: *mut CoreBio,
    selection: c_int,
    callback: Option<Callback>,
    data: *mut c_void,
    passphrase: Option<PassphraseCallback>,
    passphrase_data: *mut c_void,
) -> c_int {
    // SAFETY: the core passes our context and callbacks that are valid during this call.
    let (held, mut passphrase) = unsafe {
        (
            Owned::<Held<P, ()>>::borrow(ctx),
            Passphrase::new(passphrase, passphrase_data),
        )
    };
    let Ok(held) = held else { return 0 };
    if !T::does(Selection::new(selection)) {
        return 1;
    }
    enter(Ok(held.context), c"decoder_decode", |context| {
        let inner = context.get();
        // SAFETY: the core lends the BIO for this call.
        let mut bio = unsafe { Bio::new(input, inner.core.calls()) }?;
        let decoded = inner
            .core
            .shielded(|| T::decode(&inner.provider, &mut bio, &mut passphrase))?;
        let Some(decoded) = decoded else { return Ok(1) };
        let callback = callback.ok_or(Fault::Null("the decoder callback"))?;
        // SAFETY: the callback is the core's.
        let taken = unsafe { deliver(context, &decoded, callback, data) };
        T::delivered(&inner.provider)?;
        Ok(taken)
    })
}

/// # Safety
/// `callback` must be the core's, valid now.
unsafe fn deliver<P: Provider>(
    context: ContextRef<P>,
    decoded: &Decoded<P::Key>,
    callback: Callback,
    data: *mut c_void,
) -> c_int {
    let params = match decoded {
        Decoded::Data { der, structure } => ParamList::new()
            .utf8(names::OBJECT_DATA_STRUCTURE, structure)
            .octets(names::OBJECT_DATA, der),
        Decoded::Key { key, key_type } => ParamList::new()
            .int(names::OBJECT_TYPE, object::PKEY)
            .utf8(names::OBJECT_DATA_TYPE, key_type)
            .octets(
                names::OBJECT_REFERENCE,
                KeyReference::<P>::new(context, key).as_bytes(),
            ),
    };
    // SAFETY: the caller's promise; the list and the key live through the call.
    unsafe { callback(params.as_ptr(), data) }
}

/// As in `store.rs`: no other provider can take the key.
unsafe extern "C" fn export_object(
    _: *mut c_void,
    _: *const c_void,
    _: usize,
    _: Option<Callback>,
    _: *mut c_void,
) -> c_int {
    0
}
