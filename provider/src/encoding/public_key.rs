//! SubjectPublicKeyInfo, RFC 5280 §4.1.

use std::fmt;

use der::asn1::{Any, AnyRef, BitStringRef, ObjectIdentifier, UintRef};
use der::{Decode, Sequence};
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use super::to_der;
use crate::error::{Error, Reason, Result};
use crate::key::{Curve, Edwards, PublicKey, RsaUse};

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

/// The key in `info`, DER of a SubjectPublicKeyInfo.
pub fn of_subject_public_key_info(info: &[u8]) -> Result<PublicKey> {
    let info = SubjectPublicKeyInfo::<AnyRef<'_>, BitStringRef<'_>>::from_der(info);
    let info = info.map_err(malformed)?;
    let bits = info.subject_public_key.raw_bytes();
    match info.algorithm.oid {
        RSA_ENCRYPTION | RSASSA_PSS => {
            let public = of_rsa_public_key(bits)?;
            Ok(match info.algorithm.oid {
                RSASSA_PSS => public.for_pss_only(),
                _ => public,
            })
        }
        EC_PUBLIC_KEY => {
            let oid = info.algorithm.parameters_oid().map_err(malformed)?;
            let unknown = || {
                Error::new(
                    Reason::UnsupportedKey,
                    format!("a public key on the curve {oid}"),
                )
            };
            PublicKey::ec(Curve::by_oid(oid).ok_or_else(unknown)?, bits)
        }
        oid => {
            let known = [Edwards::Ed25519, Edwards::Ed448];
            let curve = known.into_iter().find(|curve| curve.oid() == oid);
            let unknown = || Error::new(Reason::UnsupportedKey, format!("a public key {oid}"));
            PublicKey::edwards(curve.ok_or_else(unknown)?, bits)
        }
    }
}

/// The key in DER of an RSAPublicKey, RFC 8017 §A.1.1.
pub fn of_rsa_public_key(der: &[u8]) -> Result<PublicKey> {
    let key = RsaPublicKey::from_der(der).map_err(malformed)?;
    PublicKey::rsa(key.modulus.as_bytes(), key.exponent.as_bytes())
}

fn malformed(error: impl fmt::Display) -> Error {
    Error::new(
        Reason::UnsupportedKey,
        format!("a public key that can't be read: {error}"),
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        let point = |size: usize, first: u8| [&[first][..], &vec![7; size - 1]].concat();
        let rsa = PublicKey::rsa(&[0xc7; 256], &[1, 0, 1]).unwrap();
        let keys = [
            rsa.clone(),
            rsa.for_pss_only(),
            PublicKey::ec(Curve::P256, &point(65, 4)).unwrap(),
            PublicKey::edwards(Edwards::Ed25519, &point(32, 9)).unwrap(),
            PublicKey::edwards(Edwards::Ed448, &point(57, 9)).unwrap(),
        ];
        for key in keys {
            let info = subject_public_key_info(&key).unwrap();
            assert_eq!(of_subject_public_key_info(&info).unwrap(), key);
            assert!(of_subject_public_key_info(&info[..info.len() - 1]).is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_key_or_an_error(bytes: Vec<u8>) {
            let _ = of_subject_public_key_info(&bytes);
        }
    }
}
