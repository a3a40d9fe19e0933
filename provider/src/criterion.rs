//! Searching for objects by what is in them, OSSL_STORE_SEARCH(3).

use der::Decode;
use x509_cert::name::Name;

use crate::digest::Digest;
use crate::encoding::certificate;
use crate::encoding::distinguished_name::same_name;
use crate::encoding::public_key::subject_public_key_info;
use crate::error::{Error, Reason, Result};
use crate::key::PublicKey;

/// What an object has to match.
#[derive(Debug)]
pub enum Criterion {
    /// A certificate of this subject.
    Subject(Name),
    /// The certificate with this serial number, big-endian without leading zeros.
    IssuerSerial { issuer: Name, serial: Vec<u8> },
    /// A certificate with this fingerprint, or anything with a public key of this fingerprint (that
    /// of its SubjectPublicKeyInfo).
    Fingerprint { digest: Digest, value: Vec<u8> },
    /// An object with this label.
    Label(Vec<u8>),
}

impl Criterion {
    /// By the subject's name in DER.
    pub fn subject(name: &[u8]) -> Result<Self> {
        Ok(Self::Subject(distinguished_name(name)?))
    }

    /// By the issuer's name in DER and the serial number.
    pub fn issuer_and_serial(issuer: &[u8], serial: Vec<u8>) -> Result<Self> {
        Ok(Self::IssuerSerial {
            issuer: distinguished_name(issuer)?,
            serial,
        })
    }

    /// By a fingerprint, and the name of its digest.
    pub fn fingerprint(name: &str, value: Vec<u8>) -> Result<Self> {
        let digest = Digest::by_name(name).filter(|digest| digest.size() == value.len());
        let digest = digest.ok_or_else(|| {
            Error::new(
                Reason::InvalidParameter,
                format!(
                    "a fingerprint of {} bytes by {name}; give a SHA-1, SHA-2 or SHA-3 value of a certificate or \
                     of a public key",
                    value.len()
                ),
            )
        })?;
        Ok(Self::Fingerprint { digest, value })
    }

    /// Whether a key can match at all.
    pub fn is_for_keys(&self) -> bool {
        matches!(self, Self::Fingerprint { .. } | Self::Label(_))
    }

    /// Whether the certificate (DER) under this label does. One that can't be read does not.
    pub fn fits_certificate(&self, label: &[u8], der: &[u8]) -> bool {
        match self {
            Self::Label(wanted) => wanted == label,
            Self::Fingerprint { digest, value } => {
                digest.hash(der) == *value || public_key_fits(*digest, value, der)
            }
            Self::Subject(name) => certificate::parsed(der)
                .is_some_and(|one| same_name(one.tbs_certificate().subject(), name)),
            Self::IssuerSerial { issuer, serial } => certificate::parsed(der).is_some_and(|one| {
                let one = one.tbs_certificate();
                let number = one.serial_number().as_bytes();
                let zeros = number.iter().take_while(|byte| **byte == 0).count();
                same_name(one.issuer(), issuer) && number[zeros..] == serial[..]
            }),
        }
    }

    /// Whether the key under this label does.
    pub fn fits_key(&self, label: &[u8], public: &PublicKey) -> bool {
        match self {
            Self::Label(wanted) => wanted == label,
            Self::Fingerprint { digest, value } => {
                subject_public_key_info(public).is_ok_and(|der| digest.hash(&der) == *value)
            }
            Self::Subject(_) | Self::IssuerSerial { .. } => false,
        }
    }
}

fn public_key_fits(digest: Digest, value: &[u8], der: &[u8]) -> bool {
    let public = certificate::public_key(der);
    public.is_some_and(|public| digest.hash(&public) == value)
}

fn distinguished_name(der: &[u8]) -> Result<Name> {
    Name::from_der(der).map_err(|error| {
        let problem = format!("the name to search for is no X.509 name: {error}");
        Error::new(Reason::InvalidParameter, problem)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let everything = [
                Criterion::subject(&[0x30, 0]),
                Criterion::issuer_and_serial(&[0x30, 0], vec![1]),
                Criterion::fingerprint("SHA256", vec![0; 32]),
            ];
            for criterion in everything {
                prop_assert!(!criterion.unwrap().fits_certificate(b"label", &bytes));
            }
            let _ = Criterion::subject(&bytes);
        }
    }

    #[test]
    fn a_fingerprint_has_the_size_of_its_digest() {
        assert!(Criterion::fingerprint("SHA1", vec![0; 20]).is_ok());
        assert!(Criterion::fingerprint("SHA1", vec![0; 32]).is_err());
        assert!(Criterion::fingerprint("nothing", vec![0; 32]).is_err());
    }
}
