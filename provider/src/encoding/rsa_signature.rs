//! RSA signatures with the public half, RFC 8017 §8.

use super::digest_info::digest_info;
use super::{pkcs1, pss, rsa_public};
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::key::{PublicKey, Scheme};

/// Whether `signature` is one of `public` over `data`.
pub fn verify(public: &PublicKey, scheme: &Scheme, data: &[u8], signature: &[u8]) -> Result<bool> {
    let size = public.bits().div_ceil(8);
    if signature.len() != size {
        return Ok(false);
    }
    let encoded = operation(public, signature)?;
    Ok(match scheme {
        Scheme::RsaPkcs1 {
            digest: Some(digest),
        } => encoded == pkcs1::encode(&digest_info(*digest, data)?, size)?,
        Scheme::RsaPkcs1 { digest: None } => encoded == pkcs1::encode(data, size)?,
        Scheme::RsaPss { digest, mgf1, salt } => {
            let any = pss::max_salt(public.bits(), *digest) == Some(*salt);
            pss::decode(&encoded, *digest, *mgf1, public.bits()).is_some_and(|decoded| {
                // Who names no length takes any; here that has become the longest.
                (any || decoded.salt.len() == *salt) && decoded.is_of(data, *digest)
            })
        }
        _ => encoded == data,
    })
}

/// The length in bytes of the salt in a PSS signature of `public`, if it is one.
pub fn salt_length(
    public: &PublicKey,
    digest: Digest,
    mgf1: Digest,
    signature: &[u8],
) -> Result<Option<usize>> {
    let encoded = operation(public, signature)?;
    let decoded = pss::decode(&encoded, digest, mgf1, public.bits());
    Ok(decoded.map(|decoded| decoded.salt.len()))
}

fn operation(public: &PublicKey, signature: &[u8]) -> Result<Vec<u8>> {
    match public {
        PublicKey::Rsa {
            modulus, exponent, ..
        } => rsa_public::apply(modulus, exponent, signature),
        _ => Err(Error::new(Reason::Internal, "no RSA key")),
    }
}
