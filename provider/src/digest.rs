//! Digests on the host, RustCrypto with the CPU's own instructions.

use std::ffi::CStr;

use ::digest::Digest as _;
use der::asn1::ObjectIdentifier;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};

macro_rules! digests {
    ($($name:ident = $size:literal, $oid:literal, [$first:literal $(, $alias:literal)*];)*) => {
        /// A digest that hwkey computes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Digest {
            $($name,)*
        }

        impl Digest {
            /// Every digest.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// By any name that OpenSSL uses for it, in any case, or by its OID in dots.
            pub fn by_name(name: &str) -> Option<Self> {
                $(if name == $oid
                    || [$first $(, $alias)*].iter().any(|known| known.eq_ignore_ascii_case(name)) {
                    return Some(Self::$name);
                })*
                None
            }

            /// The name that OpenSSL's own provider answers.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $first,)*
                }
            }

            /// [`Self::name`] for C.
            pub fn c_name(self) -> &'static CStr {
                match self {
                    $(Self::$name => match CStr::from_bytes_with_nul(
                        concat!($first, "\0").as_bytes(),
                    ) {
                        Ok(name) => name,
                        Err(_) => c"",
                    },)*
                }
            }

            /// The output in bytes.
            pub const fn size(self) -> usize {
                match self {
                    $(Self::$name => $size,)*
                }
            }

            pub const fn oid(self) -> ObjectIdentifier {
                match self {
                    $(Self::$name => ObjectIdentifier::new_unwrap($oid),)*
                }
            }

            /// Its value over `message`.
            pub fn hash(self, message: &[u8]) -> Vec<u8> {
                let mut hasher = self.hasher();
                hasher.update(message);
                hasher.finalize()
            }

            pub fn hasher(self) -> Hasher {
                match self {
                    $(Self::$name => Hasher::$name($name::default()),)*
                }
            }
        }

        /// A hash in progress.
        #[derive(Clone)]
        pub enum Hasher {
            $($name($name),)*
        }

        impl Hasher {
            pub fn update(&mut self, data: &[u8]) {
                match self {
                    $(Self::$name(hasher) => hasher.update(data),)*
                }
            }

            pub fn finalize(self) -> Vec<u8> {
                match self {
                    $(Self::$name(hasher) => hasher.finalize().to_vec(),)*
                }
            }
        }
    };
}

digests! {
    Sha1 = 20, "1.3.14.3.2.26", ["SHA1", "SHA-1", "SSL3-SHA1", "RSA-SHA1"];
    Sha224 = 28, "2.16.840.1.101.3.4.2.4", ["SHA2-224", "SHA224", "SHA-224", "RSA-SHA224"];
    Sha256 = 32, "2.16.840.1.101.3.4.2.1", ["SHA2-256", "SHA256", "SHA-256", "RSA-SHA256"];
    Sha384 = 48, "2.16.840.1.101.3.4.2.2", ["SHA2-384", "SHA384", "SHA-384", "RSA-SHA384"];
    Sha512 = 64, "2.16.840.1.101.3.4.2.3", ["SHA2-512", "SHA512", "SHA-512", "RSA-SHA512"];
    Sha512_224 = 28, "2.16.840.1.101.3.4.2.5",
        ["SHA2-512/224", "SHA512-224", "SHA-512/224", "RSA-SHA512/224"];
    Sha512_256 = 32, "2.16.840.1.101.3.4.2.6",
        ["SHA2-512/256", "SHA512-256", "SHA-512/256", "RSA-SHA512/256"];
    Sha3_224 = 28, "2.16.840.1.101.3.4.2.7", ["SHA3-224", "RSA-SHA3-224"];
    Sha3_256 = 32, "2.16.840.1.101.3.4.2.8", ["SHA3-256", "RSA-SHA3-256"];
    Sha3_384 = 48, "2.16.840.1.101.3.4.2.9", ["SHA3-384", "RSA-SHA3-384"];
    Sha3_512 = 64, "2.16.840.1.101.3.4.2.10", ["SHA3-512", "RSA-SHA3-512"];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_hashes_and_names_find_them() {
        for digest in Digest::ALL {
            assert_eq!(digest.hasher().finalize().len(), digest.size());
            assert_eq!(
                Digest::by_name(&digest.name().to_lowercase()),
                Some(*digest)
            );
            assert_eq!(Digest::by_name(&digest.oid().to_string()), Some(*digest));
        }
        assert_eq!(Digest::by_name("MD5"), None);
    }
}
