//! SubjectPublicKeyInfo, RFC 5280 §4.1.

use der::Sequence;
use der::asn1::{Any, AnyRef, BitStringRef, ObjectIdentifier, UintRef};
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use super::to_der;
use crate::error::{Error, Reason, Result};
use crate::key::{PublicKey, RsaUse};

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

/// DER of the SubjectPublicKeyInfo of `key`.
pub fn subject_public_key_info(key: &PublicKey) -> Result<Vec<u8>> {
    let internal = |error: der::Error| Error::new(Reason::Internal, error.to_string());
    let (algorithm, bits) = match key {
        PublicKey::Rsa {
            modulus,
            exponent,
            allowed,
        } => {
            let algorithm = match allowed {
                RsaUse::Any => AlgorithmIdentifier {
                    oid: RSA_ENCRYPTION,
                    parameters: Some(Any::from(AnyRef::NULL)),
                },
                // Without parameters any digest and salt will do (RFC 4055 §3.3).
                RsaUse::PssOnly => AlgorithmIdentifier {
                    oid: RSASSA_PSS,
                    parameters: None,
                },
            };
            let key = RsaPublicKey {
                modulus: UintRef::new(modulus).map_err(internal)?,
                exponent: UintRef::new(exponent).map_err(internal)?,
            };
            (algorithm, to_der(&key)?)
        }
        PublicKey::Ec { curve, point } => {
            let algorithm = AlgorithmIdentifier {
                oid: EC_PUBLIC_KEY,
                parameters: Some(Any::encode_from(&curve.oid()).map_err(internal)?),
            };
            (algorithm, point.clone())
        }
        PublicKey::Edwards { curve, point } => {
            let algorithm = AlgorithmIdentifier {
                oid: curve.oid(),
                parameters: None,
            };
            (algorithm, point.clone())
        }
    };
    to_der(&SubjectPublicKeyInfo {
        algorithm,
        subject_public_key: BitStringRef::from_bytes(&bits).map_err(internal)?,
    })
}
