//! Signatures.

use tpm2_abi::{Area, Input, Object, Outcome, SignScheme};
use tss_esapi::constants::tss::{TPM2_RH_NULL, TPM2_ST_HASHCHECK};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::{HashScheme, Signature, SignatureScheme};
use tss_esapi::tss2_esys::{TPM2B_DIGEST, TPMT_SIGNATURE, TPMT_TK_HASHCHECK};

use crate::area::{padded, size};
use crate::esys::{Protection, Result, digest, told};
use crate::hash::hash;
use crate::tpm::Tpm;

pub fn sign(tpm: &Tpm<'_>, object: &Object, scheme: SignScheme, input: &Input) -> Result<Outcome> {
    let hashed;
    let (own_digest, no_ticket): (TPM2B_DIGEST, TPMT_TK_HASHCHECK);
    let (digest, ticket) = match input {
        Input::Digest(bytes) => {
            own_digest = digest(bytes)?;
            no_ticket = no_ticket_at_all();
            (&own_digest, &no_ticket)
        }
        Input::Message(message) => {
            hashed = hash(tpm, message, hash_of(scheme))?;
            (&*hashed.digest, &*hashed.ticket)
        }
    };
    let native = native(scheme)?.into();
    let key = tpm.key(object)?;
    let grant = key.grant(tpm, Protection::NONE)?;
    let signature = tpm
        .esys
        .sign(key.handle, grant.sessions(), digest, &native, ticket)?;
    bytes(*signature, &key.area).map(Outcome::Bytes)
}

/// Only restricted keys want one.
fn no_ticket_at_all() -> TPMT_TK_HASHCHECK {
    TPMT_TK_HASHCHECK {
        tag: TPM2_ST_HASHCHECK,
        hierarchy: TPM2_RH_NULL,
        digest: TPM2B_DIGEST::default(),
    }
}

fn hash_of(scheme: SignScheme) -> u16 {
    match scheme {
        SignScheme::RsaSsa { hash } | SignScheme::RsaPss { hash } | SignScheme::Ecdsa { hash } => {
            hash
        }
    }
}

/// The scheme in tss-esapi's form.
pub fn native(scheme: SignScheme) -> Result<SignatureScheme> {
    let hash_scheme = HashScheme::new(algorithm(hash_of(scheme))?);
    Ok(match scheme {
        SignScheme::RsaSsa { .. } => SignatureScheme::RsaSsa { hash_scheme },
        SignScheme::RsaPss { .. } => SignatureScheme::RsaPss { hash_scheme },
        SignScheme::Ecdsa { .. } => SignatureScheme::EcDsa { hash_scheme },
    })
}

pub fn algorithm(hash: u16) -> Result<HashingAlgorithm> {
    let algorithm = HashingAlgorithm::try_from(hash);
    algorithm.map_err(|_| told("hwkey-tpm2", format!("{hash:#06x} is no hash of a TPM")))
}

/// The signature as the interface has it.
fn bytes(signature: TPMT_SIGNATURE, area: &Area) -> Result<Vec<u8>> {
    let size = size(area);
    match Signature::try_from(signature) {
        Ok(Signature::RsaSsa(it) | Signature::RsaPss(it)) => {
            Ok(padded(it.signature().value(), size))
        }
        Ok(Signature::EcDsa(it)) => {
            let (r, s) = (it.signature_r().value(), it.signature_s().value());
            Ok([padded(r, size), padded(s, size)].concat())
        }
        _ => Err(told("TPM2_Sign", "a signature of another kind")),
    }
}
