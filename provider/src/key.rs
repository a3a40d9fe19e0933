//! What a hardware key can do, whatever hardware it is.

use std::ffi::CStr;
use std::fmt;
use std::sync::Arc;

use der::asn1::ObjectIdentifier;
use zeroize::Zeroizing;

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};

/// A private key in hardware, with its public half. Cheap to clone.
#[derive(Clone)]
pub struct Key(Arc<dyn HardwareKey>);

impl Key {
    pub fn new(key: impl HardwareKey + 'static) -> Self {
        Self(Arc::new(key))
    }
}

impl std::ops::Deref for Key {
    type Target = dyn HardwareKey;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

/// What a backend provides for one key.
///
/// One [`sign`](Self::sign) is one operation of the hardware from start to end, so that a backend
/// can log in between the two where the key asks for it (smart cards).
pub trait HardwareKey: Send + Sync {
    fn public(&self) -> &PublicKey;

    /// The URI that finds this key and no other one, without any PIN.
    fn uri(&self) -> String;

    /// Where the key lives, for people: `token "gateway" (SoftHSM project, serial 0123)`.
    fn place(&self) -> String;

    /// The key's label or id.
    fn name(&self) -> String;

    /// Whether the key may sign, with this digest if there is one; says why not. libssl asks for
    /// each algorithm that a peer offers: must not touch the hardware.
    fn allows(&self, digest: Option<Digest>) -> Result<()>;

    /// Whether the key takes [`Input::Message`], because the hardware may have to hash by itself.
    fn wants_messages(&self) -> bool;

    /// Signs `input` into `signature`, which has the modulus' size, twice the order's for ECDSA, or
    /// that of the EdDSA signature; returns the bytes written.
    fn sign(&self, scheme: &Scheme, input: Input<'_>, signature: &mut [u8]) -> Result<usize>;

    /// Whether `signature` (as [`sign`](Self::sign) makes it) over `data` is this key's.
    fn verify(&self, scheme: &Scheme, data: &[u8], signature: &[u8]) -> Result<bool>;

    /// Whether there is more of it than a public half that another provider handed over.
    fn has_private(&self) -> bool {
        true
    }

    /// What a PEM file of this key holds.
    fn reference(&self) -> Result<Reference> {
        Ok(Reference::Uri(self.uri()))
    }

    /// Decrypts `input`, which has the modulus' size; with [`Decryption::Raw`] the result has it, too.
    fn decrypt(&self, _: &Decryption, _: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        Err(not_offered(self.name(), self.place(), "decrypts"))
    }

    /// Whether [`decrypt`](Self::decrypt) takes [`Decryption::Raw`], so that paddings are taken off on
    /// the host, where nobody sees what was wrong with them.
    fn decrypts_raw(&self) -> bool {
        true
    }

    /// Whether [`decrypt`](Self::decrypt) takes [`Decryption::Oaep`] with these; else it is [`Decryption::Raw`]
    /// and the padding is taken off on the host.
    fn takes_oaep(&self, _digest: Digest, _label: &[u8]) -> bool {
        true
    }

    /// What stands in for a message whose PKCS#1 padding is wrong is made from this (implicit rejection):
    /// 32 bytes, always the same ones for a key, that nobody has who can't use it.
    fn rejection_secret(&self) -> Result<Zeroizing<Vec<u8>>> {
        Err(not_offered(self.name(), self.place(), "decrypts"))
    }

    /// ECDH with the uncompressed point `peer` of the same curve: the x coordinate, of the field's size.
    fn derive(&self, _peer: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        Err(not_offered(self.name(), self.place(), "derives"))
    }
}

/// What a PEM file of a key holds.
pub enum Reference {
    /// A URI that finds it.
    Uri(String),
    /// A TSS2 PRIVATE KEY, in DER: the key itself, wrapped by its TPM.
    Tss2(Vec<u8>),
}

fn not_offered(name: String, place: String, does: &str) -> Error {
    Error::new(
        Reason::OperationNotAllowed,
        format!("key \"{name}\" on {place}: this version of hwkey {does} with TPM keys only"),
    )
}

/// How something is decrypted with RSA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decryption {
    /// The bare RSA operation.
    Raw,
    /// RSAES-PKCS1-v1_5 (RFC 8017 §7.2) by the hardware, which tells what is wrong with the padding: only
    /// for keys that can't do [`Self::Raw`].
    Pkcs1,
    /// RSAES-OAEP (RFC 8017 §7.1) with one digest for label and mask.
    Oaep { digest: Digest, label: Vec<u8> },
}

/// The kind of a key that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKey {
    Rsa {
        bits: usize,
        /// `None`: 65537.
        exponent: Option<u32>,
    },
    Ec(Curve),
}

/// What is signed.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// What the scheme takes: a digest's value, or the data itself.
    Data(&'a [u8]),
    /// A whole message for a scheme that takes a digest's value.
    Message { digest: Digest, message: &'a [u8] },
}

/// How a signature is made, and what its input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2). With a digest the input is its value, and the DigestInfo
    /// is put around it; without, the input is padded as it is.
    RsaPkcs1 { digest: Option<Digest> },
    /// RSASSA-PSS (RFC 8017 §8.1); the input is the digest's value.
    RsaPss {
        digest: Digest,
        mgf1: Digest,
        /// Bytes.
        salt: usize,
    },
    /// The bare RSA operation on an input of the modulus' size.
    RsaRaw,
    /// EdDSA without prehashing (RFC 8032); the input is the whole message.
    EdDsa,
    /// ECDSA; the input is a digest's value, the output r ‖ s, each of the order's size.
    Ecdsa,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RsaPkcs1 { digest: None } => write!(f, "RSA PKCS#1 v1.5"),
            Self::RsaPkcs1 { digest: Some(d) } => write!(f, "RSA PKCS#1 v1.5 with {}", d.name()),
            Self::RsaPss { digest, .. } => write!(f, "RSA-PSS with {}", digest.name()),
            Self::RsaRaw => write!(f, "raw RSA"),
            Self::Ecdsa => write!(f, "ECDSA"),
            Self::EdDsa => write!(f, "EdDSA"),
        }
    }
}

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
        let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
        let bits = bit_length(modulus);
        if !(512..=8 * MAX_BYTES).contains(&bits) || exponent.is_empty() {
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

macro_rules! curves {
    ($($name:ident = $oid:literal, $bits:literal bits, $group:literal, $shown:literal;)*) => {
        /// A named curve.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Curve {
            $($name,)*
        }

        impl Curve {
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// OpenSSL's name of the group.
            pub fn group_name(self) -> &'static CStr {
                match self {
                    $(Self::$name => $group,)*
                }
            }

            pub const fn oid(self) -> ObjectIdentifier {
                match self {
                    $(Self::$name => ObjectIdentifier::new_unwrap($oid),)*
                }
            }

            /// The size of the field, and of the order.
            pub const fn bits(self) -> usize {
                match self {
                    $(Self::$name => $bits,)*
                }
            }
        }

        impl fmt::Display for Curve {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => $shown,)*
                })
            }
        }
    };
}

curves! {
    P224 = "1.3.132.0.33", 224 bits, c"secp224r1", "P-224";
    P256 = "1.2.840.10045.3.1.7", 256 bits, c"prime256v1", "P-256";
    P384 = "1.3.132.0.34", 384 bits, c"secp384r1", "P-384";
    P521 = "1.3.132.0.35", 521 bits, c"secp521r1", "P-521";
    Secp256k1 = "1.3.132.0.10", 256 bits, c"secp256k1", "secp256k1";
    BrainpoolP256r1 = "1.3.36.3.3.2.8.1.1.7", 256 bits, c"brainpoolP256r1", "brainpoolP256r1";
    BrainpoolP384r1 = "1.3.36.3.3.2.8.1.1.11", 384 bits, c"brainpoolP384r1", "brainpoolP384r1";
    BrainpoolP512r1 = "1.3.36.3.3.2.8.1.1.13", 512 bits, c"brainpoolP512r1", "brainpoolP512r1";
}

impl Curve {
    pub fn by_oid(oid: ObjectIdentifier) -> Option<Self> {
        Self::ALL.iter().copied().find(|curve| curve.oid() == oid)
    }

    /// By any of OpenSSL's names, in any case.
    pub fn by_group_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|curve| {
            let own = curve.group_name().to_string_lossy();
            own.eq_ignore_ascii_case(name) || curve.to_string().eq_ignore_ascii_case(name)
        })
    }

    /// The size of a coordinate in bytes; for these curves also that of the order.
    pub const fn field_size(self) -> usize {
        self.bits().div_ceil(8)
    }
}

/// A curve of EdDSA, RFC 8032.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edwards {
    Ed25519,
    Ed448,
}

impl Edwards {
    pub const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Ed25519 => ObjectIdentifier::new_unwrap("1.3.101.112"),
            Self::Ed448 => ObjectIdentifier::new_unwrap("1.3.101.113"),
        }
    }

    /// OpenSSL's name of the key type.
    pub fn type_name(self) -> &'static CStr {
        match self {
            Self::Ed25519 => c"ED25519",
            Self::Ed448 => c"ED448",
        }
    }

    pub const fn bits(self) -> usize {
        match self {
            Self::Ed25519 => 256,
            Self::Ed448 => 456,
        }
    }

    pub const fn security_bits(self) -> usize {
        match self {
            Self::Ed25519 => 128,
            Self::Ed448 => 224,
        }
    }

    /// The size of a public key in bytes.
    pub const fn key_size(self) -> usize {
        match self {
            Self::Ed25519 => 32,
            Self::Ed448 => 57,
        }
    }

    /// The size of a signature in bytes.
    pub const fn signature_size(self) -> usize {
        2 * self.key_size()
    }
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
