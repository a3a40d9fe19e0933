//! ASN.1 structures, paddings and derivations: what is done on the host.

pub mod algorithm;
pub mod certificate;
pub mod digest_info;
pub mod distinguished_name;
pub mod ec_point;
pub mod ecdsa;
pub mod mgf1;
pub mod oaep;
pub mod pkcs1;
pub mod pkcs1_encryption;
pub mod pss;
pub mod public_key;
pub mod rejection;
pub mod rsa_public;
pub mod rsa_signature;
pub mod tss2_key;
pub mod x963kdf;

use der::Encode;

use crate::error::{Error, Reason, Result};

/// DER of a structure that we made ourselves.
pub(crate) fn to_der(value: &impl Encode) -> Result<Vec<u8>> {
    value
        .to_der()
        .map_err(|error| Error::new(Reason::Internal, format!("DER encoding: {error}")))
}

/// Numbers of a test, written in hexadecimal.
#[cfg(test)]
pub(crate) fn test_bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}
