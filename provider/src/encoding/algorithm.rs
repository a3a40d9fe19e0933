//! The AlgorithmIdentifier of a signature, as certificates and requests carry it.

use der::Sequence;
use der::asn1::{Any, AnyRef, ObjectIdentifier};
use spki::AlgorithmIdentifier;

use super::to_der;
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::key::{Edwards, Scheme};

const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");

/// RSASSA-PSS-params, RFC 8017 A.2.3. (The `pkcs1` crate's has a salt length of one byte, and
/// OpenSSL's default salt fills the modulus.)
#[derive(Sequence)]
struct PssParams {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    hash: AlgorithmIdentifier<Any>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT")]
    mask: AlgorithmIdentifier<AlgorithmIdentifier<Any>>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT")]
    salt: u16,
}

/// The AlgorithmIdentifier in DER for signatures of `scheme` over `digest`.
pub fn identifier(scheme: &Scheme, digest: Digest) -> Result<Vec<u8>> {
    match scheme {
        Scheme::Ecdsa => to_der(&AlgorithmIdentifier::<Any> {
            oid: ecdsa_oid(digest).ok_or_else(|| unnamed(scheme, digest))?,
            parameters: None,
        }),
        Scheme::RsaPkcs1 { .. } => to_der(&AlgorithmIdentifier {
            oid: pkcs1_oid(digest).ok_or_else(|| unnamed(scheme, digest))?,
            parameters: Some(AnyRef::NULL),
        }),
        Scheme::RsaPss { digest, mgf1, salt } => to_der(&AlgorithmIdentifier {
            oid: RSASSA_PSS,
            parameters: Some(PssParams {
                hash: hash_identifier(*digest),
                mask: AlgorithmIdentifier {
                    oid: MGF1,
                    parameters: Some(hash_identifier(*mgf1)),
                },
                salt: u16::try_from(*salt).unwrap_or(u16::MAX),
            }),
        }),
        Scheme::RsaRaw | Scheme::EdDsa => Err(unnamed(scheme, digest)),
    }
}

/// The AlgorithmIdentifier in DER for EdDSA signatures, RFC 8410 §3.
pub fn eddsa_identifier(curve: Edwards) -> Result<Vec<u8>> {
    to_der(&AlgorithmIdentifier::<Any> {
        oid: curve.oid(),
        parameters: None,
    })
}

fn hash_identifier(digest: Digest) -> AlgorithmIdentifier<Any> {
    AlgorithmIdentifier {
        oid: digest.oid(),
        parameters: Some(Any::null()),
    }
}

fn unnamed(scheme: &Scheme, digest: Digest) -> Error {
    Error::new(
        Reason::UnsupportedDigest,
        format!(
            "{scheme} over {} has no algorithm identifier; choose another digest (-sha256)",
            digest.name()
        ),
    )
}

fn ecdsa_oid(digest: Digest) -> Option<ObjectIdentifier> {
    Some(ObjectIdentifier::new_unwrap(match digest {
        Digest::Sha1 => "1.2.840.10045.4.1",
        Digest::Sha224 => "1.2.840.10045.4.3.1",
        Digest::Sha256 => "1.2.840.10045.4.3.2",
        Digest::Sha384 => "1.2.840.10045.4.3.3",
        Digest::Sha512 => "1.2.840.10045.4.3.4",
        Digest::Sha3_224 => "2.16.840.1.101.3.4.3.9",
        Digest::Sha3_256 => "2.16.840.1.101.3.4.3.10",
        Digest::Sha3_384 => "2.16.840.1.101.3.4.3.11",
        Digest::Sha3_512 => "2.16.840.1.101.3.4.3.12",
        Digest::Sha512_224 | Digest::Sha512_256 => return None,
    }))
}

fn pkcs1_oid(digest: Digest) -> Option<ObjectIdentifier> {
    Some(ObjectIdentifier::new_unwrap(match digest {
        Digest::Sha1 => "1.2.840.113549.1.1.5",
        Digest::Sha224 => "1.2.840.113549.1.1.14",
        Digest::Sha256 => "1.2.840.113549.1.1.11",
        Digest::Sha384 => "1.2.840.113549.1.1.12",
        Digest::Sha512 => "1.2.840.113549.1.1.13",
        Digest::Sha512_224 => "1.2.840.113549.1.1.15",
        Digest::Sha512_256 => "1.2.840.113549.1.1.16",
        Digest::Sha3_224 => "2.16.840.1.101.3.4.3.13",
        Digest::Sha3_256 => "2.16.840.1.101.3.4.3.14",
        Digest::Sha3_384 => "2.16.840.1.101.3.4.3.15",
        Digest::Sha3_512 => "2.16.840.1.101.3.4.3.16",
    }))
}
