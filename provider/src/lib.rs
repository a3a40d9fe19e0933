//! hwkey: an OpenSSL 3 provider for private keys that never leave their hardware.
//!
//! The way down (docs/architecture.md has the picture):
//!
//! - `ossl_shim` turns OpenSSL's calls into trait methods;
//! - [`operation`] answers them, one file per operation, in OpenSSL's terms;
//! - [`key`] is what a hardware key can do;
//! - [`backend`] is how one kind of hardware does it.
//!
//! Backends know nothing of OpenSSL, operations nothing of PKCS#11.

#![forbid(unsafe_code)]

pub mod backend;
pub mod config;
pub mod criterion;
pub mod digest;
pub mod encoding;
pub mod environment;
pub mod error;
pub mod key;
pub mod logging;
pub mod operation;
pub mod pin;
pub mod provider;
pub mod reading;
pub mod reference;
pub mod text;
pub mod uri;

pub use provider::HwKey;

ossl_shim::export!(HwKey);
