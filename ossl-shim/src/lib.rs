//! OpenSSL 3's provider ABI as safe Rust traits.
//!
//! A provider implements [`Provider`] and, for each algorithm, one of the operation traits
//! ([`KeyManagement`], [`Signature`], [`KeyExchange`], [`AsymCipher`], [`Rand`], [`Store`], [`Decoder`], [`Encoder`]); [`export!`] makes the
//! one symbol that OpenSSL looks for. Everything C is here: dispatch tables, `OSSL_PARAM`, BIOs,
//! callbacks, the error queue, the boundary that no panic crosses. A provider built on this crate
//! can `#![forbid(unsafe_code)]`.
//!
//! The crate calls OpenSSL only through the functions that the core hands to the provider, so a
//! module made with it links no libcrypto and runs with any OpenSSL from 3.0.
//!
//! ```text
//! OpenSSL ──► extern "C" entry (one per function, in keymgmt.rs, signature/, …)
//!                 boundary.rs: catch panics, turn Err into queue entries
//!                 params/, bio.rs, passphrase.rs: C arguments to Rust
//!             ──► trait method of the provider (safe Rust)
//! ```

pub mod abi;
mod asym_cipher;
mod bio;
mod boundary;
mod core;
mod decoder;
mod encoder;
mod exchange;
mod fault;
mod keymgmt;
mod operation;
mod ownership;
pub mod params;
mod passphrase;
pub mod process;
mod provider;
mod rand;
mod signature;
mod software_keys;
mod store;

pub use asym_cipher::AsymCipher;
pub use bio::Bio;
pub use core::{Core, Entry, Neighbours, Report};
pub use decoder::{Decoded, Decoder};
pub use encoder::Encoder;
pub use exchange::KeyExchange;
pub use fault::Fault;
pub use keymgmt::{KeyManagement, Selection};
pub use operation::OperationContext;
pub use passphrase::Passphrase;
pub use provider::{Algorithm, Operation, Provider, Reason, initialise};
pub use rand::Rand;
pub use signature::Signature;
pub use store::{Expect, Object, Search, Store};

/// Exports `OSSL_provider_init` for a type that implements [`Provider`].
#[macro_export]
macro_rules! export {
    ($provider:ty) => {
        /// What OpenSSL calls after it has loaded the module, provider-base(7).
        ///
        /// # Safety
        /// Only OpenSSL calls this, with the arguments that provider-base(7) describes.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn OSSL_provider_init(
            handle: *const $crate::abi::CoreHandle,
            from_core: *const $crate::abi::OsslDispatch,
            to_core: *mut *const $crate::abi::OsslDispatch,
            context: *mut *mut ::std::ffi::c_void,
        ) -> ::std::ffi::c_int {
            // SAFETY: the arguments are OpenSSL's, passed on as they came.
            unsafe { $crate::initialise::<$provider>(handle, from_core, to_core, context) }
        }
    };
}
