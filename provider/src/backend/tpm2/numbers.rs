//! The TCG's numbers: TPM_ALG_ID, TPM_ECC_CURVE, TPMA_OBJECT (TPM 2.0 Library part 2, and the TCG
//! Algorithm Registry).

use tpm2_abi::{Area, PublicKey as TpmPublicKey};

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::key::{Curve, PublicKey};

pub const ALG_RSASSA: u16 = 0x0014;
pub const ALG_RSAES: u16 = 0x0015;
pub const ALG_RSAPSS: u16 = 0x0016;
pub const ALG_OAEP: u16 = 0x0017;
pub const ALG_ECDSA: u16 = 0x0018;
pub const ALG_ECDH: u16 = 0x0019;

/// TPM_ALG_ID of hashes.
const HASHES: [(Digest, u16); 7] = [
    (Digest::Sha1, 0x0004),
    (Digest::Sha256, 0x000b),
    (Digest::Sha384, 0x000c),
    (Digest::Sha512, 0x000d),
    (Digest::Sha3_256, 0x0027),
    (Digest::Sha3_384, 0x0028),
    (Digest::Sha3_512, 0x0029),
];

/// TPM_ECC_CURVE of the curves that OpenSSL calls by the same names.
const CURVES: [(Curve, u16); 7] = [
    (Curve::P224, 0x0002),
    (Curve::P256, 0x0003),
    (Curve::P384, 0x0004),
    (Curve::P521, 0x0005),
    (Curve::BrainpoolP256r1, 0x0030),
    (Curve::BrainpoolP384r1, 0x0031),
    (Curve::BrainpoolP512r1, 0x0032),
];

pub fn hash_number(digest: Digest) -> Option<u16> {
    let found = HASHES.iter().find(|(known, _)| *known == digest);
    found.map(|(_, number)| *number)
}

pub fn hash_by_number(number: u16) -> Option<Digest> {
    let found = HASHES.iter().find(|(_, known)| *known == number);
    found.map(|(digest, _)| *digest)
}

pub fn curve_number(curve: Curve) -> Option<u16> {
    let found = CURVES.iter().find(|(known, _)| *known == curve);
    found.map(|(_, number)| *number)
}

fn curve_by_number(number: u16) -> Option<Curve> {
    let found = CURVES.iter().find(|(_, known)| *known == number);
    found.map(|(curve, _)| *curve)
}

/// TPMA_OBJECT.
#[derive(Clone, Copy)]
pub struct Attributes(u32);

impl Attributes {
    pub fn of(area: &Area) -> Self {
        Self(area.attributes)
    }

    /// Its authorisation value may be used, not only its policy.
    pub fn user_with_auth(self) -> bool {
        self.0 & 1 << 6 != 0
    }

    /// Wrong authorisation values are not counted.
    pub fn no_da(self) -> bool {
        self.0 & 1 << 10 != 0
    }

    /// It signs only what the TPM itself has hashed, or is a storage key.
    pub fn restricted(self) -> bool {
        self.0 & 1 << 16 != 0
    }

    pub fn decrypt(self) -> bool {
        self.0 & 1 << 17 != 0
    }

    pub fn sign(self) -> bool {
        self.0 & 1 << 18 != 0
    }
}

/// The key in a public area.
pub fn public_key(area: &Area) -> Result<PublicKey> {
    match &area.key {
        TpmPublicKey::Rsa { modulus, exponent } => {
            let key = PublicKey::rsa(modulus, &exponent.to_be_bytes())?;
            // A key that is bound to PSS is one of OpenSSL's RSA-PSS type only if a certificate says so:
            // programs expect RSA.
            Ok(key)
        }
        TpmPublicKey::Ecc { curve, x, y } => {
            let curve = curve_by_number(*curve).ok_or_else(|| {
                unsupported(&format!(
                    "an ECC key on the curve TPM_ECC_CURVE 0x{curve:04x}"
                ))
            })?;
            let mut point = vec![4];
            for number in [x, y] {
                let size = curve.field_size();
                let zeros = size.checked_sub(number.len());
                let zeros = zeros.ok_or_else(|| unsupported("a point that is not on its curve"))?;
                point.resize(point.len() + zeros, 0);
                point.extend(number);
            }
            PublicKey::ec(curve, &point)
        }
        TpmPublicKey::Other(number) => Err(unsupported(&format!(
            "an object of the type TPM_ALG_ID 0x{number:04x}, which is no RSA or ECC key"
        ))),
    }
}

fn unsupported(what: &str) -> Error {
    Error::new(Reason::UnsupportedKey, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_coordinates_are_filled_up() {
        let area = Area {
            name: Vec::new(),
            attributes: 0,
            key: TpmPublicKey::Ecc {
                curve: 3,
                x: vec![1; 31],
                y: vec![2; 32],
            },
            scheme: None,
            has_policy: false,
        };
        let PublicKey::Ec { point, .. } = public_key(&area).unwrap() else {
            panic!("no EC key");
        };
        assert_eq!((point.len(), point[1], point[2]), (65, 0, 1));
    }
}
