//! RSA decryption.

use tpm2_abi::{DecryptScheme, Object, Outcome, Secret};
use tss_esapi::structures::{HashScheme, RsaDecryptionScheme};

use super::sign::algorithm;
use crate::area::{padded, size};
use crate::esys::{Protection, Result};
use crate::tpm::Tpm;

pub fn decrypt(
    tpm: &Tpm<'_>,
    object: &Object,
    scheme: &DecryptScheme,
    input: &[u8],
) -> Result<Outcome> {
    let mut terminated = Vec::new();
    let native = match scheme {
        DecryptScheme::Raw => RsaDecryptionScheme::Null,
        DecryptScheme::RsaEs => RsaDecryptionScheme::RsaEs,
        DecryptScheme::Oaep { hash, label } => {
            if !label.is_empty() {
                terminated = [label, &[0][..]].concat();
            }
            RsaDecryptionScheme::Oaep(HashScheme::new(algorithm(*hash)?))
        }
    };
    let key = tpm.key(object)?;
    let grant = key.grant(tpm, Protection::ANSWER)?;
    let sessions = grant.sessions();
    let message = tpm
        .esys
        .rsa_decrypt(key.handle, sessions, input, &native.into(), &terminated)?;
    Ok(Outcome::Secret(match scheme {
        DecryptScheme::Raw => Secret::new(padded(&message, size(&key.area))),
        _ => message,
    }))
}
