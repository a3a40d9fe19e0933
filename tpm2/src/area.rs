//! Public areas, in the terms of the interface.

use tpm2_abi::{Area, KeyScheme, PublicKey};
use tss_esapi::attributes::ObjectAttributes;
use tss_esapi::structures::{
    Digest, EccPoint, EccScheme, Public, PublicEccParameters, PublicRsaParameters, RsaScheme,
};
use tss_esapi::tss2_esys::{TPM2B_PUBLIC, TPMA_OBJECT};

use crate::esys::{Result, told};

pub fn area(public: &TPM2B_PUBLIC, name: Vec<u8>) -> Result<Area> {
    let other = public.publicArea.type_;
    let parsed = match Public::try_from(*public) {
        Ok(parsed) => parsed,
        Err(error) => {
            let text = format!("a public area of type {other:#06x} that can't be read ({error})");
            return Err(told("TPM2_ReadPublic", text));
        }
    };
    let (attributes, policy, key, scheme): (ObjectAttributes, Digest, _, _) = match parsed {
        Public::Rsa {
            object_attributes,
            auth_policy,
            parameters,
            unique,
            ..
        } => {
            let key = PublicKey::Rsa {
                modulus: unique.value().to_vec(),
                exponent: exponent(&parameters),
            };
            let scheme = rsa_scheme(parameters.rsa_scheme());
            (object_attributes, auth_policy, key, scheme)
        }
        Public::Ecc {
            object_attributes,
            auth_policy,
            parameters,
            unique,
            ..
        } => {
            let key = ecc(&parameters, &unique);
            let scheme = ecc_scheme(parameters.ecc_scheme());
            (object_attributes, auth_policy, key, scheme)
        }
        Public::KeyedHash {
            object_attributes,
            auth_policy,
            ..
        }
        | Public::SymCipher {
            object_attributes,
            auth_policy,
            ..
        } => (
            object_attributes,
            auth_policy,
            PublicKey::Other(other),
            None,
        ),
    };
    Ok(Area {
        name,
        attributes: TPMA_OBJECT::from(attributes),
        key,
        scheme,
        has_policy: !policy.value().is_empty(),
    })
}

/// The size of a signature's numbers, or of the field.
pub fn size(area: &Area) -> usize {
    match &area.key {
        PublicKey::Rsa { modulus, .. } => modulus.len(),
        PublicKey::Ecc { x, .. } => x.len(),
        PublicKey::Other(_) => 0,
    }
}

/// `number` with as many zeros before it as make it `size` bytes.
pub fn padded(number: &[u8], size: usize) -> Vec<u8> {
    let mut padded = vec![0; size.saturating_sub(number.len())];
    padded.extend_from_slice(number);
    padded
}

fn exponent(parameters: &PublicRsaParameters) -> u32 {
    match parameters.exponent().value() {
        0 => 65537,
        exponent => exponent,
    }
}

fn ecc(parameters: &PublicEccParameters, point: &EccPoint) -> PublicKey {
    let curve = u16::from(parameters.ecc_curve());
    let (x, y) = (point.x().value(), point.y().value());
    let size = field_size(curve).unwrap_or(x.len().max(y.len()));
    PublicKey::Ecc {
        curve,
        x: padded(x, size),
        y: padded(y, size),
    }
}

/// TPM_ECC_CURVE, TCG Algorithm Registry chapter 6.4.
fn field_size(curve: u16) -> Option<usize> {
    Some(match curve {
        0x01 => 24,
        0x02 => 28,
        0x03 | 0x10 | 0x20 | 0x30 => 32,
        0x04 | 0x31 => 48,
        0x32 => 64,
        0x05 => 66,
        0x11 => 80,
        _ => return None,
    })
}

fn rsa_scheme(scheme: RsaScheme) -> Option<KeyScheme> {
    let hash = match scheme {
        RsaScheme::Null => return None,
        RsaScheme::RsaEs => None,
        RsaScheme::RsaSsa(hash) | RsaScheme::RsaPss(hash) | RsaScheme::Oaep(hash) => {
            Some(hash.hashing_algorithm().into())
        }
    };
    Some(KeyScheme {
        algorithm: scheme.algorithm().into(),
        hash,
    })
}

fn ecc_scheme(scheme: EccScheme) -> Option<KeyScheme> {
    let hash = match scheme {
        EccScheme::Null => return None,
        EccScheme::EcDaa(scheme) => scheme.hashing_algorithm(),
        EccScheme::EcDsa(hash)
        | EccScheme::EcDh(hash)
        | EccScheme::Sm2(hash)
        | EccScheme::EcSchnorr(hash)
        | EccScheme::EcMqv(hash) => hash.hashing_algorithm(),
    };
    Some(KeyScheme {
        algorithm: scheme.algorithm().into(),
        hash: Some(hash.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_padded_to_its_size() {
        assert_eq!(padded(&[1, 2], 4), [0, 0, 1, 2]);
        assert_eq!(padded(&[1, 2], 2), [1, 2]);
        assert_eq!(padded(&[1, 2], 1), [1, 2]);
    }
}
