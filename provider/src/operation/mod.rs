//! What OpenSSL asks of the provider, one file per operation.

pub mod decoder_pem;
pub mod decoder_reference;
pub mod encoder_private;
pub mod encoder_text;
pub mod keymgmt_ec;
pub mod keymgmt_edwards;
pub mod keymgmt_rsa;
pub mod message;
pub mod signature_ecdsa;
pub mod signature_eddsa;
pub mod signature_rsa;
pub mod store;

use crate::error::Error;
use crate::key::Key;

/// Says which key's signature could not be verified.
fn stopping_verification(key: &Key) -> impl Fn(Error) -> Error + use<'_> {
    move |error| error.stopping(format!("verifying with {}", key.uri()))
}

/// Says which key's signature it was that failed.
fn stopping_signature(key: &Key) -> impl Fn(Error) -> Error + use<'_> {
    move |error| error.stopping(format!("signing with {}", key.uri()))
}
