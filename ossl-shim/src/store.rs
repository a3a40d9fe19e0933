//! Stores, provider-storemgmt(7): objects by their URI.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;

use crate::abi::functions::{
    STORE_CLOSE, STORE_EOF, STORE_EXPORT_OBJECT, STORE_LOAD, STORE_OPEN, STORE_SET_CTX_PARAMS,
    STORE_SETTABLE_CTX_PARAMS,
};
use crate::abi::{
    Callback, OsslDispatch, OsslParam, PassphraseCallback, names, object, store_info,
};
use crate::boundary::{enter, quietly};
use crate::core::c_string;
use crate::fault::Fault;
use crate::ownership::{ContextRef, Held, KeyReference, Owned};
use crate::params::{Descriptor, ParamList, ParamsIn};
use crate::passphrase::Passphrase;
use crate::provider::Provider;

/// A store for one URI scheme; the value is one opened URI.
pub trait Store<P: Provider>: Sized + Send + 'static {
    /// Looks only at the text: the hardware is asked at the first [`Self::next`].
    fn open(provider: &P, uri: &str) -> Result<Self, P::Error>;

    /// The program told what kind of object it wants (`OSSL_STORE_expect`).
    fn expect(&mut self, what: Expect);

    /// The program looks for certain objects only (`OSSL_STORE_find`).
    fn search(&mut self, what: Search) -> Result<(), P::Error>;

    /// The next object; `None` when there are no more.
    fn next(
        &mut self,
        provider: &P,
        passphrase: &mut Passphrase<'_>,
    ) -> Result<Option<Object<P::Key>>, P::Error>;

    /// Whether [`Self::next`] has nothing left to give.
    fn at_end(&self) -> bool;
}

/// `OSSL_STORE_INFO_*`, as far as a program can ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Expect {
    #[default]
    Anything,
    Name,
    Parameters,
    PublicKey,
    PrivateKey,
    Certificate,
    Crl,
}

impl Expect {
    fn read(params: &ParamsIn<'_>) -> Result<Option<Self>, Fault> {
        let Some(number) = params.int(names::STORE_EXPECT)? else {
            return Ok(None);
        };
        Ok(Some(match c_int::try_from(number).unwrap_or(-1) {
            0 => Self::Anything,
            store_info::NAME => Self::Name,
            store_info::PARAMS => Self::Parameters,
            store_info::PUBKEY => Self::PublicKey,
            store_info::PKEY => Self::PrivateKey,
            store_info::CERT => Self::Certificate,
            store_info::CRL => Self::Crl,
            _ => {
                return Err(Fault::Param {
                    name: names::STORE_EXPECT.to_string_lossy().into_owned(),
                    problem: "unknown kind of object",
                });
            }
        }))
    }
}

/// `OSSL_STORE_SEARCH`, OSSL_STORE_SEARCH(3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// The subject's name, DER.
    Subject(Vec<u8>),
    /// The issuer's name, DER, and the serial number, big-endian.
    IssuerSerial {
        issuer: Vec<u8>,
        serial: Vec<u8>,
    },
    /// The digest's name and value. (OSSL_STORE_find() crashes by itself without a digest.)
    Fingerprint {
        digest: String,
        value: Vec<u8>,
    },
    Alias(String),
}

impl Search {
    /// OpenSSL passes one kind at a time.
    fn read(params: &ParamsIn<'_>) -> Result<Option<Self>, Fault> {
        if let Some(name) = params.octets(names::STORE_SUBJECT)? {
            return Ok(Some(Self::Subject(name.to_vec())));
        }
        if let Some(name) = params.octets(names::STORE_ISSUER)? {
            let serial = params.big_number(names::STORE_SERIAL)?;
            return Ok(Some(Self::IssuerSerial {
                issuer: name.to_vec(),
                serial: serial.ok_or(Fault::Null("the serial number"))?,
            }));
        }
        if let Some(value) = params.octets(names::STORE_FINGERPRINT)? {
            let digest = params.utf8(names::STORE_DIGEST)?;
            return Ok(Some(Self::Fingerprint {
                digest: digest.ok_or(Fault::Null("the digest"))?.to_owned(),
                value: value.to_vec(),
            }));
        }
        let alias = params.utf8(names::STORE_ALIAS)?;
        Ok(alias.map(|alias| Self::Alias(alias.to_owned())))
    }
}

/// One object of a store.
pub enum Object<K> {
    /// A key of this provider, with the name of its key type (`EC`).
    Key {
        key: K,
        key_type: &'static CStr,
        description: String,
    },
    /// A public key for the default provider, as a DER SubjectPublicKeyInfo.
    PublicKey(Vec<u8>),
    /// An X.509 certificate in DER.
    Certificate(Vec<u8>),
    /// The URI of another object, with a description for people.
    Name { uri: String, description: String },
}

pub(crate) struct Table<P, T>(PhantomData<(P, T)>);

impl<P: Provider, T: Store<P>> Table<P, T> {
    pub(crate) const DISPATCH: &'static [OsslDispatch] = &[
        STORE_OPEN.entry(open::<P, T>),
        STORE_SETTABLE_CTX_PARAMS.entry(settable_ctx_params),
        STORE_SET_CTX_PARAMS.entry(set_ctx_params::<P, T>),
        STORE_LOAD.entry(load::<P, T>),
        STORE_EOF.entry(eof::<P, T>),
        STORE_CLOSE.entry(close::<P, T>),
        STORE_EXPORT_OBJECT.entry(export_object),
        OsslDispatch::END,
    ];
}

/// An opened URI. After an error there is nothing more to get: OpenSSL would ask again for ever.
struct Opened<T> {
    store: T,
    failed: bool,
}

unsafe extern "C" fn open<P: Provider, T: Store<P>>(
    provctx: *mut c_void,
    uri: *const c_char,
) -> *mut c_void {
    // SAFETY: the core passes our context and a C string.
    enter(
        unsafe { ContextRef::<P>::new(provctx) },
        c"store_open",
        |context| {
            if uri.is_null() {
                return Err(Fault::Null("the URI").into());
            }
            // SAFETY: a C string, as above.
            let uri = unsafe { CStr::from_ptr(uri) }.to_string_lossy();
            let store = T::open(&context.get().provider, &uri)?;
            let value = Opened {
                store,
                failed: false,
            };
            Ok(Owned::hand_over(Held { context, value }))
        },
    )
}

unsafe extern "C" fn settable_ctx_params(_: *mut c_void) -> *const OsslParam {
    // OSSL_STORE_supports_search() looks here.
    const SETTABLE: &[Descriptor] = &[
        Descriptor::int(names::STORE_EXPECT),
        Descriptor::octets(names::STORE_SUBJECT),
        Descriptor::octets(names::STORE_ISSUER),
        Descriptor::unsigned(names::STORE_SERIAL),
        Descriptor::utf8(names::STORE_DIGEST),
        Descriptor::octets(names::STORE_FINGERPRINT),
        Descriptor::utf8(names::STORE_ALIAS),
        Descriptor::END,
    ];
    Descriptor::table(SETTABLE)
}

unsafe extern "C" fn set_ctx_params<P: Provider, T: Store<P>>(
    ctx: *mut c_void,
    params: *const OsslParam,
) -> c_int {
    // SAFETY: the core passes our context and its terminated array.
    let (held, params) = unsafe {
        (
            Owned::<Held<P, Opened<T>>>::borrow_mut(ctx),
            ParamsIn::new(params),
        )
    };
    let Ok(held) = held else { return 0 };
    enter(Ok(held.context), c"store_set_ctx_params", |_| {
        if let Some(what) = Expect::read(&params)? {
            held.value.store.expect(what);
        }
        if let Some(search) = Search::read(&params)? {
            held.value.store.search(search)?;
        }
        Ok(1)
    })
}

unsafe extern "C" fn load<P: Provider, T: Store<P>>(
    ctx: *mut c_void,
    callback: Option<Callback>,
    data: *mut c_void,
    passphrase: Option<PassphraseCallback>,
    passphrase_data: *mut c_void,
) -> c_int {
    // SAFETY: the core passes our context and callbacks that are valid during this call.
    let (held, mut passphrase) = unsafe {
        (
            Owned::<Held<P, Opened<T>>>::borrow_mut(ctx),
            Passphrase::new(passphrase, passphrase_data),
        )
    };
    let Ok(held) = held else { return 0 };
    let opened = &mut held.value;
    enter(Ok(held.context), c"store_load", |context| {
        let inner = context.get();
        let next = inner
            .core
            .shielded(|| opened.store.next(&inner.provider, &mut passphrase));
        opened.failed = next.is_err();
        let Some(object) = next? else {
            // The end: nothing to hand over, and eof says so.
            return Ok(0);
        };
        let callback = callback.ok_or(Fault::Null("the object callback"))?;
        // SAFETY: the callback is the core's.
        Ok(unsafe { deliver(context, &object, callback, data) })
    })
}

/// # Safety
/// `callback` must be the core's, valid now.
unsafe fn deliver<P: Provider>(
    context: ContextRef<P>,
    object: &Object<P::Key>,
    callback: Callback,
    data: *mut c_void,
) -> c_int {
    let params = match object {
        Object::Key {
            key,
            key_type,
            description,
        } => {
            let reference = KeyReference::<P>::new(context, key);
            ParamList::new()
                .int(names::OBJECT_TYPE, object::PKEY)
                .utf8(names::OBJECT_DATA_TYPE, key_type)
                .utf8(names::OBJECT_DESC, &c_string(description))
                .octets(names::OBJECT_REFERENCE, reference.as_bytes())
        }
        Object::PublicKey(der) => ParamList::new()
            .int(names::OBJECT_TYPE, object::PKEY)
            .utf8(names::OBJECT_DATA_STRUCTURE, c"SubjectPublicKeyInfo")
            .octets(names::OBJECT_DATA, der),
        Object::Certificate(der) => ParamList::new()
            .int(names::OBJECT_TYPE, object::CERT)
            .octets(names::OBJECT_DATA, der),
        Object::Name { uri, description } => ParamList::new()
            .int(names::OBJECT_TYPE, object::NAME)
            .utf8(names::OBJECT_DATA, &c_string(uri))
            .utf8(names::OBJECT_DESC, &c_string(description)),
    };
    // SAFETY: the caller's promise; the list and the key live through the call.
    unsafe { callback(params.as_ptr(), data) }
}

unsafe extern "C" fn eof<P: Provider, T: Store<P>>(ctx: *mut c_void) -> c_int {
    quietly(1, || {
        // SAFETY: the core passes our context.
        let held = unsafe { Owned::<Held<P, Opened<T>>>::borrow(ctx) };
        held.map_or(1, |held| {
            c_int::from(held.value.failed || held.value.store.at_end())
        })
    })
}

unsafe extern "C" fn close<P: Provider, T: Store<P>>(ctx: *mut c_void) -> c_int {
    // SAFETY: the core gives our context back.
    unsafe { Owned::<Held<P, Opened<T>>>::free(ctx) };
    1
}

/// Another provider's key management was found for our key type first (it is listed first): it may
/// not have the key, and OpenSSL then asks ours.
unsafe extern "C" fn export_object(
    _: *mut c_void,
    _: *const c_void,
    _: usize,
    _: Option<Callback>,
    _: *mut c_void,
) -> c_int {
    0
}
