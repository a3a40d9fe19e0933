//! Key management, provider-keymgmt(7).

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;

use crate::abi::functions::{
    KEYMGMT_DUP, KEYMGMT_EXPORT, KEYMGMT_EXPORT_TYPES, KEYMGMT_FREE, KEYMGMT_GEN,
    KEYMGMT_GEN_CLEANUP, KEYMGMT_GEN_INIT, KEYMGMT_GEN_SET_PARAMS, KEYMGMT_GEN_SETTABLE_PARAMS,
    KEYMGMT_GET_PARAMS, KEYMGMT_GETTABLE_PARAMS, KEYMGMT_HAS, KEYMGMT_IMPORT, KEYMGMT_IMPORT_TYPES,
    KEYMGMT_LOAD, KEYMGMT_MATCH, KEYMGMT_NEW, KEYMGMT_QUERY_OPERATION_NAME, KEYMGMT_SET_PARAMS,
    KEYMGMT_SETTABLE_PARAMS, KEYMGMT_VALIDATE,
};
use crate::abi::{Callback, OsslDispatch, OsslParam, select};
use crate::boundary::{enter, quietly};
use crate::fault::Fault;
use crate::operation::on;
use crate::ownership::{ContextRef, Held, HeldKey, KeyReference, Owned};
use crate::params::{Descriptor, ParamList, ParamsIn, ParamsOut};
use crate::provider::{Operation, Provider};

mod generate;

use generate::{gen_cleanup, gen_init, gen_set_params, gen_settable_params, generate};

/// One key type (`EC`, `RSA`, …) of a provider.
pub trait KeyManagement<P: Provider>: 'static {
    /// Ended by [`Descriptor::END`].
    const GETTABLE: &'static [Descriptor];

    /// The parameters of the public half, ended by [`Descriptor::END`].
    const PUBLIC: &'static [Descriptor];

    /// Whether `key` is of this type.
    fn accepts(key: &P::Key) -> bool;

    /// The name under which OpenSSL fetches `operation` for such a key.
    fn operation_name(operation: Operation) -> Option<&'static CStr>;

    /// Whether the key has all that is selected.
    fn has(key: &P::Key, selection: Selection) -> bool;

    /// Whether two keys are the same in what is selected.
    fn matches(key: &P::Key, other: &P::Key, selection: Selection) -> bool;

    /// Answers the parameters in [`Self::GETTABLE`].
    fn params(key: &P::Key, out: &mut ParamsOut<'_>) -> Result<(), P::Error>;

    /// The key for another provider, as far as it may leave.
    fn export(key: &P::Key, selection: Selection) -> Result<ParamList, P::Error>;

    /// A key from what another provider exports; `None`, without an error, for one that can't be here.
    fn import(selection: Selection, params: &ParamsIn<'_>) -> Result<Option<P::Key>, P::Error>;

    /// The parameters that [`Self::changed`] looks at, ended by [`Descriptor::END`].
    const SETTABLE: &'static [Descriptor];

    /// What becomes of `key` when these parameters are set; `None` if it stays as it is.
    fn changed(key: &P::Key, params: &ParamsIn<'_>) -> Result<Option<P::Key>, P::Error>;

    /// What the program has said so far of a key that is to be made.
    type New: Send + 'static;

    /// The parameters that [`Self::set_new`] takes, ended by [`Descriptor::END`].
    const NEW: &'static [Descriptor];

    /// Starts to make what is selected.
    fn begin(selection: Selection) -> Self::New;

    fn set_new(new: &mut Self::New, params: &ParamsIn<'_>) -> Result<(), P::Error>;

    /// Makes the key.
    fn generate(provider: &P, new: &Self::New) -> Result<P::Key, P::Error>;
}

/// `OSSL_KEYMGMT_SELECT_*`: which parts of a key a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection(c_int);

impl Selection {
    pub(crate) fn new(bits: c_int) -> Self {
        Self(bits)
    }

    /// Nothing in particular: decoders are asked so when the program takes any kind of object.
    pub fn anything(self) -> bool {
        self.0 == 0
    }

    pub fn private_key(self) -> bool {
        self.0 & select::PRIVATE_KEY != 0
    }

    pub fn public_key(self) -> bool {
        self.0 & select::PUBLIC_KEY != 0
    }

    /// Neither half of the key: its parameters at most.
    pub fn only_parameters(self) -> bool {
        self.0 & (select::PRIVATE_KEY | select::PUBLIC_KEY) == 0
    }

    pub fn parameters(self) -> bool {
        self.0 & (select::DOMAIN_PARAMETERS | select::OTHER_PARAMETERS) != 0
    }
}

pub(crate) struct Table<P, T>(PhantomData<(P, T)>);

impl<P: Provider, T: KeyManagement<P>> Table<P, T> {
    pub(crate) const DISPATCH: &'static [OsslDispatch] = &[
        KEYMGMT_NEW.entry(new::<P>),
        KEYMGMT_LOAD.entry(load::<P, T>),
        KEYMGMT_FREE.entry(free::<P>),
        KEYMGMT_GET_PARAMS.entry(get_params::<P, T>),
        KEYMGMT_GETTABLE_PARAMS.entry(gettable_params::<P, T>),
        KEYMGMT_SET_PARAMS.entry(set_params::<P, T>),
        KEYMGMT_SETTABLE_PARAMS.entry(settable_params::<P, T>),
        KEYMGMT_QUERY_OPERATION_NAME.entry(query_operation_name::<P, T>),
        KEYMGMT_HAS.entry(has::<P, T>),
        KEYMGMT_VALIDATE.entry(validate::<P, T>),
        KEYMGMT_MATCH.entry(matches::<P, T>),
        KEYMGMT_EXPORT.entry(export::<P, T>),
        KEYMGMT_EXPORT_TYPES.entry(public_types::<P, T>),
        KEYMGMT_IMPORT.entry(import::<P, T>),
        KEYMGMT_IMPORT_TYPES.entry(public_types::<P, T>),
        KEYMGMT_DUP.entry(dup::<P>),
        KEYMGMT_GEN_INIT.entry(gen_init::<P, T>),
        KEYMGMT_GEN_SET_PARAMS.entry(gen_set_params::<P, T>),
        KEYMGMT_GEN_SETTABLE_PARAMS.entry(gen_settable_params::<P, T>),
        KEYMGMT_GEN.entry(generate::<P, T>),
        KEYMGMT_GEN_CLEANUP.entry(gen_cleanup::<P, T>),
        OsslDispatch::END,
    ];
}

/// # Safety
/// `keydata` must be a key of ours that is not being imported.
unsafe fn key<'a, P: Provider>(keydata: *const c_void) -> Result<&'a HeldKey<P>, Fault> {
    // SAFETY: the caller's promise; nothing else borrows keys mutably.
    unsafe { Owned::borrow(keydata) }
}

/// An empty key, for `import`.
///
/// Both are there for the peer's key of a key exchange, and for `EVP_PKEY_eq` with a key of another
/// provider. OpenSSL tries to move that key here first; without this function it leaves an error in the
/// queue although it then succeeds the other way round, and `SSL_CTX_use_certificate_chain_file` fails
/// for it (a server's second certificate for the same key, mosquitto's SIGHUP).
unsafe extern "C" fn new<P: Provider>(provctx: *mut c_void) -> *mut c_void {
    quietly(ptr::null_mut(), || {
        // SAFETY: the core passes our context.
        let context = unsafe { ContextRef::<P>::new(provctx) };
        context.map_or(ptr::null_mut(), |context| {
            Owned::<HeldKey<P>>::hand_over(Held {
                context,
                value: None,
            })
        })
    })
}

unsafe extern "C" fn load<P: Provider, T: KeyManagement<P>>(
    reference: *const c_void,
    size: usize,
) -> *mut c_void {
    quietly(ptr::null_mut(), || {
        // SAFETY: the core passes the reference that our store or decoder is just handing out.
        let held = unsafe { KeyReference::<P>::resolve(reference, size) };
        held.filter(|held| held.key().is_ok_and(T::accepts))
            .map_or(ptr::null_mut(), Owned::<HeldKey<P>>::hand_over)
    })
}

unsafe extern "C" fn free<P: Provider>(keydata: *mut c_void) {
    // SAFETY: the core gives a key of ours back.
    unsafe { Owned::<HeldKey<P>>::free_late(keydata) };
}

unsafe extern "C" fn dup<P: Provider>(keydata: *const c_void, _: c_int) -> *mut c_void {
    quietly(ptr::null_mut(), || {
        // SAFETY: the core passes a key of ours.
        unsafe { key::<P>(keydata) }.map_or(ptr::null_mut(), |held| {
            Owned::hand_over(Held {
                context: held.context,
                value: held.value.clone(),
            })
        })
    })
}

unsafe extern "C" fn get_params<P: Provider, T: KeyManagement<P>>(
    keydata: *mut c_void,
    params: *mut OsslParam,
) -> c_int {
    // SAFETY: the core passes a key of ours and its terminated array.
    let (held, mut out) = unsafe { (key::<P>(keydata), ParamsOut::new(params)) };
    enter(context_of(&held), c"keymgmt_get_params", |_| {
        T::params(held?.key()?, &mut out)?;
        Ok(1)
    })
}

unsafe extern "C" fn gettable_params<P: Provider, T: KeyManagement<P>>(
    _: *mut c_void,
) -> *const OsslParam {
    Descriptor::table(T::GETTABLE)
}

/// Without it OpenSSL takes any change for done. CMS makes the peer's key of a key exchange so: a copy of
/// ours that gets another public half (`EVP_PKEY_set1_encoded_public_key`).
unsafe extern "C" fn set_params<P: Provider, T: KeyManagement<P>>(
    keydata: *mut c_void,
    params: *const OsslParam,
) -> c_int {
    // SAFETY: the core passes its terminated array and a key of ours that the program changes, so that
    // no other thread may use it meanwhile. Operations have clones of what it held.
    unsafe {
        let params = ParamsIn::new(params);
        on::<P, Option<P::Key>, _>(keydata, c"keymgmt_set_params", |_, key| {
            let own = key.as_ref().ok_or(Fault::Null("the key"))?;
            if let Some(changed) = T::changed(own, &params)? {
                *key = Some(changed);
            }
            Ok(1)
        })
    }
}

unsafe extern "C" fn settable_params<P: Provider, T: KeyManagement<P>>(
    _: *mut c_void,
) -> *const OsslParam {
    Descriptor::table(T::SETTABLE)
}

unsafe extern "C" fn query_operation_name<P: Provider, T: KeyManagement<P>>(
    operation: c_int,
) -> *const std::ffi::c_char {
    quietly(ptr::null(), || {
        Operation::from_number(operation)
            .and_then(T::operation_name)
            .map_or(ptr::null(), CStr::as_ptr)
    })
}

unsafe extern "C" fn has<P: Provider, T: KeyManagement<P>>(
    keydata: *const c_void,
    selection: c_int,
) -> c_int {
    quietly(0, || {
        // SAFETY: the core passes a key of ours.
        let key = unsafe { key::<P>(keydata) }.and_then(Held::key);
        key.map_or(0, |key| c_int::from(T::has(key, Selection(selection))))
    })
}

/// A key that a token holds was validated when the token made or took it; what can be checked here
/// is that the parts are there.
unsafe extern "C" fn validate<P: Provider, T: KeyManagement<P>>(
    keydata: *const c_void,
    selection: c_int,
    _: c_int,
) -> c_int {
    // SAFETY: as `has`.
    unsafe { has::<P, T>(keydata, selection) }
}

unsafe extern "C" fn matches<P: Provider, T: KeyManagement<P>>(
    keydata: *const c_void,
    other: *const c_void,
    selection: c_int,
) -> c_int {
    quietly(0, || {
        // SAFETY: the core passes two keys of ours.
        let keys = unsafe { (key::<P>(keydata), key::<P>(other)) };
        match (keys.0.and_then(Held::key), keys.1.and_then(Held::key)) {
            (Ok(key), Ok(other)) => c_int::from(T::matches(key, other, Selection(selection))),
            _ => 0,
        }
    })
}

unsafe extern "C" fn export<P: Provider, T: KeyManagement<P>>(
    keydata: *mut c_void,
    selection: c_int,
    callback: Option<Callback>,
    data: *mut c_void,
) -> c_int {
    // SAFETY: the core passes a key of ours.
    let held = unsafe { key::<P>(keydata) };
    enter(context_of(&held), c"keymgmt_export", |_| {
        let params = T::export(held?.key()?, Selection(selection))?;
        let callback = callback.ok_or(Fault::Null("the export callback"))?;
        // SAFETY: the callback is the core's, and `params` lives through the call.
        Ok(unsafe { callback(params.as_ptr(), data) })
    })
}

unsafe extern "C" fn import<P: Provider, T: KeyManagement<P>>(
    keydata: *mut c_void,
    selection: c_int,
    params: *const OsslParam,
) -> c_int {
    // SAFETY: the core passes its terminated array and what `new` made, which nobody else has yet.
    unsafe {
        let params = ParamsIn::new(params);
        on::<P, Option<P::Key>, _>(keydata, c"keymgmt_import", |_, key| {
            *key = T::import(Selection(selection), &params)?;
            Ok(key.is_some().into())
        })
    }
}

unsafe extern "C" fn public_types<P: Provider, T: KeyManagement<P>>(
    _selection: c_int,
) -> *const OsslParam {
    Descriptor::table(T::PUBLIC)
}

fn context_of<P: Provider>(held: &Result<&HeldKey<P>, Fault>) -> Result<ContextRef<P>, Fault> {
    held.as_ref().map(|held| held.context).map_err(Clone::clone)
}
