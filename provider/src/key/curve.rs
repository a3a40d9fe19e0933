//! The curves of keys.

use std::ffi::CStr;
use std::fmt;

use der::asn1::ObjectIdentifier;

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
