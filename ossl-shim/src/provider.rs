//! The provider itself: initialisation, what it offers, teardown. provider(7), provider-base(7).

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use crate::abi::functions::{
    PROVIDER_GET_PARAMS, PROVIDER_GET_REASON_STRINGS, PROVIDER_GETTABLE_PARAMS,
    PROVIDER_QUERY_OPERATION, PROVIDER_TEARDOWN,
};
use crate::abi::{CoreHandle, OsslAlgorithm, OsslDispatch, OsslItem, OsslParam, names, operation};
use crate::asym_cipher::{self, AsymCipher};
use crate::boundary::quietly;
use crate::core::{Core, Report};
use crate::decoder::{self, Decoder};
use crate::encoder::{self, Encoder};
use crate::exchange::{self, KeyExchange};
use crate::fault::Fault;
use crate::keymgmt::{self, KeyManagement};
use crate::ownership::{Context, ContextRef, Owned};
use crate::params::{Descriptor, ParamsOut};
use crate::rand::{self, Rand};
use crate::signature::{self, Signature};
use crate::store::{self, Store};

/// A provider: what the module offers, and the types its operations share.
pub trait Provider: Sized + Send + Sync + 'static {
    /// A key as OpenSSL holds it; cheap to clone (`EVP_PKEY_dup`, operation contexts).
    type Key: Clone + Send + Sync + 'static;

    /// What any operation can fail with.
    type Error: Report + From<Fault>;

    const NAME: &'static CStr;
    const VERSION: &'static CStr;

    /// Reason numbers with their strings, ended by [`Reason::END`].
    const REASONS: &'static [Reason];

    /// Called once per library context. It can't fail: OpenSSL hides the failure of a provider's
    /// initialisation from every program.
    fn start(core: &Core) -> Self;

    /// The algorithms of one operation, ended by [`Algorithm::END`]. Called at every fetch and 50
    /// times by each `SSL_CTX_new`, so it answers a constant.
    fn algorithms(operation: Operation) -> Option<&'static [Algorithm]>;
}

/// `OSSL_OP_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Rand,
    KeyManagement,
    KeyExchange,
    Signature,
    AsymCipher,
    Encoder,
    Decoder,
    Store,
}

impl Operation {
    pub(crate) fn from_number(number: c_int) -> Option<Self> {
        Some(match number {
            operation::RAND => Self::Rand,
            operation::KEYMGMT => Self::KeyManagement,
            operation::KEYEXCH => Self::KeyExchange,
            operation::SIGNATURE => Self::Signature,
            operation::ASYM_CIPHER => Self::AsymCipher,
            operation::ENCODER => Self::Encoder,
            operation::DECODER => Self::Decoder,
            operation::STORE => Self::Store,
            _ => return None,
        })
    }
}

/// A reason number of OpenSSL's error queue with its text.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Reason(OsslItem);

// SAFETY: the pointer in it is a `&'static CStr`.
unsafe impl Sync for Reason {}

impl Reason {
    pub const END: Self = Self(OsslItem {
        id: 0,
        text: ptr::null(),
    });

    pub const fn new(number: u32, text: &'static CStr) -> Self {
        Self(OsslItem {
            id: number,
            text: text.as_ptr(),
        })
    }
}

/// One algorithm: its names, its properties and its implementation.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Algorithm(OsslAlgorithm);

// SAFETY: it holds pointers to constants only.
unsafe impl Sync for Algorithm {}

impl Algorithm {
    pub const END: Self = Self(OsslAlgorithm {
        names: ptr::null(),
        properties: ptr::null(),
        implementation: ptr::null(),
        description: ptr::null(),
    });

    pub const fn key_management<P: Provider, T: KeyManagement<P>>(
        names: &'static CStr,
        properties: &'static CStr,
    ) -> Self {
        Self::of(names, properties, keymgmt::Table::<P, T>::DISPATCH)
    }

    pub const fn signature<P: Provider, T: Signature<P>>(
        names: &'static CStr,
        properties: &'static CStr,
    ) -> Self {
        Self::of(names, properties, signature::Table::<P, T>::DISPATCH)
    }

    pub const fn key_exchange<P: Provider, T: KeyExchange<P>>(
        names: &'static CStr,
        properties: &'static CStr,
    ) -> Self {
        Self::of(names, properties, exchange::Table::<P, T>::DISPATCH)
    }

    pub const fn asym_cipher<P: Provider, T: AsymCipher<P>>(
        names: &'static CStr,
        properties: &'static CStr,
    ) -> Self {
        Self::of(names, properties, asym_cipher::Table::<P, T>::DISPATCH)
    }

    pub const fn rand<P: Provider, T: Rand<P>>(
        names: &'static CStr,
        properties: &'static CStr,
    ) -> Self {
        Self::of(names, properties, rand::Table::<P, T>::DISPATCH)
    }

    pub const fn store<P: Provider, T: Store<P>>(
        names: &'static CStr,
        properties: &'static CStr,
    ) -> Self {
        Self::of(names, properties, store::Table::<P, T>::DISPATCH)
    }

    pub const fn decoder<P: Provider, T: Decoder<P>>(
        names: &'static CStr,
        properties: &'static CStr,
    ) -> Self {
        Self::of(names, properties, decoder::Table::<P, T>::DISPATCH)
    }

    pub const fn encoder<P: Provider, T: Encoder<P>>(
        names: &'static CStr,
        properties: &'static CStr,
    ) -> Self {
        Self::of(names, properties, encoder::Table::<P, T>::DISPATCH)
    }

    const fn of(
        names: &'static CStr,
        properties: &'static CStr,
        dispatch: &'static [OsslDispatch],
    ) -> Self {
        Self(OsslAlgorithm {
            names: names.as_ptr(),
            properties: properties.as_ptr(),
            implementation: dispatch.as_ptr(),
            description: ptr::null(),
        })
    }
}

/// `OSSL_provider_init`; used by [`crate::export!`].
///
/// # Safety
/// The arguments must be OpenSSL's own.
pub unsafe fn initialise<P: Provider>(
    handle: *const CoreHandle,
    from_core: *const OsslDispatch,
    to_core: *mut *const OsslDispatch,
    context: *mut *mut c_void,
) -> c_int {
    if to_core.is_null() || context.is_null() {
        return 0;
    }
    quietly(0, || {
        // SAFETY: OpenSSL passes its own handle and table.
        let core = unsafe { Core::new(handle, from_core) };
        let provider = P::start(&core);
        // SAFETY: both are non-null out-parameters of OpenSSL's.
        unsafe {
            *context = Owned::hand_over(Context { core, provider });
            *to_core = Table::<P>::DISPATCH.as_ptr();
        }
        1
    })
}

struct Table<P>(P);

impl<P: Provider> Table<P> {
    const DISPATCH: &'static [OsslDispatch] = &[
        PROVIDER_TEARDOWN.entry(teardown::<P>),
        PROVIDER_GETTABLE_PARAMS.entry(gettable_params),
        PROVIDER_GET_PARAMS.entry(get_params::<P>),
        PROVIDER_QUERY_OPERATION.entry(query_operation::<P>),
        PROVIDER_GET_REASON_STRINGS.entry(reason_strings::<P>),
        OsslDispatch::END,
    ];
}

unsafe extern "C" fn teardown<P: Provider>(provctx: *mut c_void) {
    // SAFETY: `provctx` came from `initialise`, and the core uses it no more.
    unsafe { Owned::<Context<P>>::free(provctx) };
}

unsafe extern "C" fn gettable_params(_: *mut c_void) -> *const OsslParam {
    const GETTABLE: &[Descriptor] = &[
        Descriptor::utf8(names::PROVIDER_NAME),
        Descriptor::utf8(names::PROVIDER_VERSION),
        Descriptor::utf8(names::PROVIDER_BUILDINFO),
        Descriptor::int(names::PROVIDER_STATUS),
        Descriptor::END,
    ];
    Descriptor::table(GETTABLE)
}

unsafe extern "C" fn get_params<P: Provider>(
    provctx: *mut c_void,
    params: *mut OsslParam,
) -> c_int {
    // SAFETY: `provctx` is ours.
    if unsafe { ContextRef::<P>::new(provctx) }.is_err() {
        return 0;
    }
    quietly(0, || {
        // SAFETY: `params` is the core's terminated array.
        let mut out = unsafe { ParamsOut::new(params) };
        let answered = out
            .utf8(names::PROVIDER_NAME, P::NAME)
            .and_then(|()| out.utf8(names::PROVIDER_VERSION, P::VERSION))
            .and_then(|()| out.utf8(names::PROVIDER_BUILDINFO, P::VERSION))
            .and_then(|()| out.int(names::PROVIDER_STATUS, 1));
        c_int::from(answered.is_ok())
    })
}

unsafe extern "C" fn query_operation<P: Provider>(
    _: *mut c_void,
    number: c_int,
    no_store: *mut c_int,
) -> *const OsslAlgorithm {
    // SAFETY: `no_store` is the core's out-parameter; 0 allows it to cache the answer.
    if let Some(no_store) = unsafe { no_store.as_mut() } {
        *no_store = 0;
    }
    quietly(ptr::null(), || {
        let table = Operation::from_number(number).and_then(P::algorithms);
        table.map_or(ptr::null(), |table| {
            assert!(
                table.last().is_some_and(|last| last.0.names.is_null()),
                "an algorithm table ends with Algorithm::END"
            );
            table.as_ptr().cast()
        })
    })
}

unsafe extern "C" fn reason_strings<P: Provider>(_: *mut c_void) -> *const OsslItem {
    P::REASONS.as_ptr().cast()
}
