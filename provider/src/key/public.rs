//! The public half of a key.

use std::ffi::CStr;

use super::{Curve, Edwards};
use crate::error::{Error, Reason, Result};

/// The public half of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    Rsa {
        /// Big-endian, without leading zeros.
        modulus: Vec<u8>,
        /// Big-endian, without leading zeros.
        exponent: Vec<u8>,
        allowed: RsaUse,
    },
    Ec {
        curve: Curve,
        /// The uncompressed point, SEC 1 §2.3.3.
        point: Vec<u8>,
    },
    Edwards {
        curve: Edwards,
        /// As RFC 8032 encodes it.
        point: Vec<u8>,
    },
}

impl PublicKey {
    /// An RSA key, if the numbers can be one.
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self> {
        const MAX_BYTES: usize = 16_384 / 8;
        /// FIPS 186-5 §A.1.1 has no longer ones.
        const MAX_EXPONENT_BITS: usize = 256;
        let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
        let bits = bit_length(modulus);
        // A longer exponent would keep a verification busy for minutes.
        let is_odd = exponent.last().is_some_and(|last| last % 2 == 1);
        if !is_odd || exponent == [1] || bit_length(exponent) > MAX_EXPONENT_BITS {
            return Err(Error::new(
                Reason::UnsupportedKey,
                format!(
                    "an RSA key with a public exponent of {} bits; it has to be odd, 3 or more, and of \
                     {MAX_EXPONENT_BITS} bits at most",
                    bit_length(exponent)
                ),
            ));
        }
        if !(512..=8 * MAX_BYTES).contains(&bits) {
            return Err(Error::new(
                Reason::UnsupportedKey,
                format!("an RSA modulus of {bits} bits; hwkey takes 512 to 16384"),
            ));
        }
        Ok(Self::Rsa {
            modulus: modulus.to_vec(),
            exponent: exponent.to_vec(),
            allowed: RsaUse::Any,
        })
    }

    /// The same RSA key, for RSA-PSS only.
    #[must_use]
    pub fn for_pss_only(mut self) -> Self {
        if let Self::Rsa { allowed, .. } = &mut self {
            *allowed = RsaUse::PssOnly;
        }
        self
    }

    /// An EC key, if `point` is an uncompressed point of the curve's size.
    pub fn ec(curve: Curve, point: &[u8]) -> Result<Self> {
        if point.len() != 1 + 2 * curve.field_size() || point[0] != 4 {
            return Err(Error::new(
                Reason::UnsupportedKey,
                format!(
                    "an EC point of {} bytes on {curve}; an uncompressed one has {}",
                    point.len(),
                    1 + 2 * curve.field_size()
                ),
            ));
        }
        Ok(Self::Ec {
            curve,
            point: point.to_vec(),
        })
    }

    /// An EdDSA key, if `point` has the curve's size.
    pub fn edwards(curve: Edwards, point: &[u8]) -> Result<Self> {
        if point.len() != curve.key_size() {
            return Err(Error::new(
                Reason::UnsupportedKey,
                format!(
                    "an {} public key of {} bytes; it has {}",
                    curve.type_name().to_string_lossy(),
                    point.len(),
                    curve.key_size()
                ),
            ));
        }
        Ok(Self::Edwards {
            curve,
            point: point.to_vec(),
        })
    }

    /// Whether both are one key, whatever it may be used for.
    pub fn is_same_key(&self, other: &Self) -> bool {
        let for_any_use = |key: &Self| match key.clone() {
            Self::Rsa {
                modulus, exponent, ..
            } => Self::Rsa {
                modulus,
                exponent,
                allowed: RsaUse::Any,
            },
            other => other,
        };
        for_any_use(self) == for_any_use(other)
    }

    /// Whether both are keys of one type on one curve. RSA keys have no parameters to differ in.
    pub fn has_parameters_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ec { curve, .. }, Self::Ec { curve: other, .. }) => curve == other,
            _ => self.type_name() == other.type_name(),
        }
    }

    /// The size in bits.
    pub fn bits(&self) -> usize {
        match self {
            Self::Rsa { modulus, .. } => bit_length(modulus),
            Self::Ec { curve, .. } => curve.bits(),
            Self::Edwards { curve, .. } => curve.bits(),
        }
    }

    /// The security strength in bits (SP 800-57 part 1; for RSA by the estimate of FIPS 140 IG,
    /// which OpenSSL uses too).
    pub fn security_bits(&self) -> usize {
        match self {
            Self::Rsa { .. } => rsa_security_bits(self.bits()),
            Self::Ec { curve, .. } => curve.bits() / 2,
            Self::Edwards { curve, .. } => curve.security_bits(),
        }
    }

    /// The name of the key type in OpenSSL.
    pub fn type_name(&self) -> &'static CStr {
        match self {
            Self::Rsa {
                allowed: RsaUse::Any,
                ..
            } => c"RSA",
            Self::Rsa {
                allowed: RsaUse::PssOnly,
                ..
            } => c"RSA-PSS",
            Self::Ec { .. } => c"EC",
            Self::Edwards { curve, .. } => curve.type_name(),
        }
    }
}

/// What an RSA key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RsaUse {
    Any,
    /// id-RSASSA-PSS, RFC 4055 §1.2. To OpenSSL that is a key type of its own.
    PssOnly,
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let first = number.iter().position(|byte| *byte != 0);
    &number[first.unwrap_or(number.len())..]
}

fn bit_length(number: &[u8]) -> usize {
    let number = without_zeros(number);
    let top = number
        .first()
        .map_or(0, |byte| byte.leading_zeros() as usize);
    number.len() * 8 - top
}

/// The estimate of FIPS 140-2 IG 7.5 for the number field sieve, rounded to multiples of 8 as
/// OpenSSL does: the smallest modulus in bits for each strength. (A table, because computing it
/// needs libm, one more library for every program that loads the module.)
fn rsa_security_bits(bits: usize) -> usize {
    const FIRST: usize = 56;
    const SMALLEST: [usize; 27] = [
        565, 729, 919, 1137, 1382, 1657, 1962, 2300, 2670, 3074, 3513, 3989, 4501, 5052, 5642,
        6272, 6944, 7681, 8414, 9215, 10060, 10952, 11890, 12876, 13911, 15361, 16129,
    ];
    FIRST
        + 8 * SMALLEST
            .iter()
            .filter(|smallest| bits >= **smallest)
            .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rsa_sizes_and_strengths_are_those_of_openssl() {
        for (bits, strength) in [(1024, 80), (2048, 112), (3072, 128), (4096, 152)] {
            let mut modulus = vec![0u8; 1 + bits / 8];
            modulus[1] = 0x80;
            let key = PublicKey::rsa(&modulus, &[1, 0, 1]).unwrap();
            assert_eq!((key.bits(), key.security_bits()), (bits, strength));
        }
    }

    #[test]
    fn keys_that_can_not_be_are_refused() {
        assert!(PublicKey::rsa(&[1, 2, 3], &[3]).is_err());
        assert!(PublicKey::rsa(&[], &[]).is_err());
        for exponent in [&[0][..], &[1], &[2], &[1, 0, 0], &[0xff; 33]] {
            assert!(
                PublicKey::rsa(&[0xc7; 256], exponent).is_err(),
                "{exponent:?}"
            );
        }
        assert!(PublicKey::ec(Curve::P256, &[4; 64]).is_err());
        assert!(PublicKey::ec(Curve::P256, &[2; 65]).is_err());
        assert!(PublicKey::ec(Curve::P256, &[]).is_err());
    }

    #[test]
    fn curves_are_known_by_both_names() {
        for name in ["P-256", "p-256", "prime256v1", "PRIME256V1"] {
            assert_eq!(Curve::by_group_name(name), Some(Curve::P256));
        }
        assert_eq!(Curve::by_group_name("P-2560"), None);
    }
}
