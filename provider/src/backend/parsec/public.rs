//! Key types, and public halves as the service writes them.

use parsec_client::core::interface::operations::psa_key_attributes::{Attributes, EccFamily, Type};

use super::policy::Policy;
use crate::encoding::public_key::of_rsa_public_key;
use crate::error::{Error, Reason, Result};
use crate::key::{Curve, PublicKey};

/// The type of a key that hwkey uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ec(Curve),
    Rsa,
    /// Its policy is PSS.
    RsaPss,
}

impl Kind {
    /// The type, and whether there is a private half.
    pub fn of(attributes: &Attributes) -> Result<(Self, bool)> {
        let bits = attributes.bits;
        let rsa = match Policy::from(*attributes).is_pss() {
            true => Self::RsaPss,
            false => Self::Rsa,
        };
        Ok(match attributes.key_type {
            Type::RsaKeyPair => (rsa, true),
            Type::RsaPublicKey => (rsa, false),
            Type::EccKeyPair { curve_family } => (Self::Ec(curve(curve_family, bits)?), true),
            Type::EccPublicKey { curve_family } => (Self::Ec(curve(curve_family, bits)?), false),
            other => {
                return Err(Error::new(
                    Reason::UnsupportedKey,
                    format!("{other}; hwkey uses RSA keys, and EC keys on the usual curves"),
                ));
            }
        })
    }

    /// RSA as an RSAPublicKey, EC as the uncompressed point (the Parsec book, PsaExportPublicKey).
    pub fn public(self, exported: &[u8]) -> Result<PublicKey> {
        match self {
            Self::Ec(curve) => PublicKey::ec(curve, exported),
            Self::Rsa => of_rsa_public_key(exported),
            Self::RsaPss => of_rsa_public_key(exported).map(PublicKey::for_pss_only),
        }
    }
}

fn curve(family: EccFamily, bits: usize) -> Result<Curve> {
    let mut all = Curve::ALL.iter().copied();
    all.find(|curve| (curve_family(*curve), curve.bits()) == (family, bits))
        .ok_or_else(|| {
            Error::new(
                Reason::UnsupportedKey,
                format!(
                    "an EC key of {bits} bits on a curve of {family}, which hwkey does not know"
                ),
            )
        })
}

/// PSA's name of the curve, which goes with its size.
pub fn curve_family(curve: Curve) -> EccFamily {
    match curve {
        Curve::P224 | Curve::P256 | Curve::P384 | Curve::P521 => EccFamily::SecpR1,
        Curve::Secp256k1 => EccFamily::SecpK1,
        Curve::BrainpoolP256r1 | Curve::BrainpoolP384r1 | Curve::BrainpoolP512r1 => {
            EccFamily::BrainpoolPR1
        }
    }
}
