//! TSS2 PRIVATE KEY: a key that is wrapped by its TPM, in a file. "ASN.1 Specification for TPM 2.0 Key
//! Files" (draft-bottomley-tpm-keys), as tpm2-openssl, tpm2-tss-engine, tpm2-tools and others write it.

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, UintRef, Utf8StringRef};
use der::{Decode, Sequence, Tag, Tagged};

use super::to_der;
use crate::error::{Error, Reason, Result};

/// The PEM label.
pub const PEM_LABEL: &str = "TSS2 PRIVATE KEY";

const LOADABLE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.10.1.3");
const IMPORTABLE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.10.1.4");
const SEALED: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.10.1.5");

/// TPM_RH_OWNER.
pub const OWNER: u32 = 0x4000_0001;

/// What such a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tss2Key {
    /// Whether the key has no authorisation value.
    pub empty_auth: bool,
    /// What has to be shown to the TPM before the key may be used: TPM_CC codes and their parameters.
    pub policy: Vec<(u32, Vec<u8>)>,
    /// TPM2B_ENCRYPTED_SECRET of a key that has to be imported first.
    pub secret: Option<Vec<u8>>,
    /// For people.
    pub description: Option<String>,
    /// The primary key of the hierarchy is an RSA key.
    pub rsa_parent: bool,
    /// A hierarchy, or a persistent handle.
    pub parent: u32,
    /// TPM2B_PUBLIC.
    pub public: Vec<u8>,
    /// TPM2B_PRIVATE.
    pub private: Vec<u8>,
}

#[derive(Sequence)]
struct TpmKey<'a> {
    kind: ObjectIdentifier,
    // Read as anything: not every writer spells TRUE as DER wants it.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    empty_auth: Option<AnyRef<'a>>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    policy: Option<Vec<TpmPolicy<'a>>>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    secret: Option<&'a OctetStringRef>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    auth_policy: Option<AnyRef<'a>>,
    #[asn1(context_specific = "4", tag_mode = "EXPLICIT", optional = "true")]
    description: Option<Utf8StringRef<'a>>,
    #[asn1(context_specific = "5", tag_mode = "EXPLICIT", optional = "true")]
    rsa_parent: Option<AnyRef<'a>>,
    // Read as anything: some write a handle as a negative number.
    parent: AnyRef<'a>,
    public: &'a OctetStringRef,
    private: &'a OctetStringRef,
}

#[derive(Sequence)]
struct TpmPolicy<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    code: UintRef<'a>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT")]
    parameters: &'a OctetStringRef,
}

impl Tss2Key {
    /// Reads DER. The error is what is wrong with it.
    pub fn from_der(der: &[u8]) -> std::result::Result<Self, String> {
        let key = TpmKey::from_der(der).map_err(|error| error.to_string())?;
        match key.kind {
            LOADABLE => {}
            IMPORTABLE if key.secret.is_some() => {}
            IMPORTABLE => return Err("an importable key without its secret".into()),
            SEALED => return Err("it holds sealed data, which is no key".into()),
            other => return Err(format!("its type {other} is none of a TPM 2.0 key")),
        }
        if key.policy.is_none() && key.auth_policy.is_some() {
            return Err(
                "its policy has to be chosen from several (authPolicy), which hwkey does not do"
                    .into(),
            );
        }
        let mut policy = Vec::new();
        for command in key.policy.unwrap_or_default() {
            let code = number(command.code.as_bytes()).ok_or("a policy command that is none")?;
            policy.push((code, command.parameters.as_bytes().to_vec()));
        }
        Ok(Self {
            empty_auth: is_true(key.empty_auth),
            policy,
            secret: key.secret.map(|secret| secret.as_bytes().to_vec()),
            description: key.description.map(|text| text.as_str().to_owned()),
            rsa_parent: is_true(key.rsa_parent),
            parent: parent(key.parent)?,
            public: key.public.as_bytes().to_vec(),
            private: key.private.as_bytes().to_vec(),
        })
    }

    /// Writes DER.
    pub fn to_der(&self) -> Result<Vec<u8>> {
        let internal = |error: der::Error| Error::new(Reason::Internal, error.to_string());
        let yes = AnyRef::new(Tag::Boolean, &[0xff]).map_err(internal)?;
        let no = AnyRef::new(Tag::Boolean, &[0]).map_err(internal)?;
        let parent = unsigned(self.parent);
        let codes: Vec<_> = self
            .policy
            .iter()
            .map(|(code, _)| unsigned(*code))
            .collect();
        let mut policy = Vec::new();
        for (code, (_, parameters)) in codes.iter().zip(&self.policy) {
            policy.push(TpmPolicy {
                code: UintRef::new(code).map_err(internal)?,
                parameters: OctetStringRef::new(parameters).map_err(internal)?,
            });
        }
        let description = self.description.as_deref().map(Utf8StringRef::new);
        let secret = self.secret.as_deref().map(OctetStringRef::new);
        let secret = secret.transpose().map_err(internal)?;
        to_der(&TpmKey {
            kind: match &secret {
                Some(_) => IMPORTABLE,
                None => LOADABLE,
            },
            // To older tpm2-openssl one that is left out is TRUE.
            empty_auth: Some(if self.empty_auth { yes } else { no }),
            policy: (!policy.is_empty()).then_some(policy),
            secret,
            auth_policy: None,
            description: description.transpose().map_err(internal)?,
            rsa_parent: self.rsa_parent.then_some(yes),
            parent: AnyRef::new(Tag::Integer, &parent).map_err(internal)?,
            public: OctetStringRef::new(&self.public).map_err(internal)?,
            private: OctetStringRef::new(&self.private).map_err(internal)?,
        })
    }
}

fn is_true(value: Option<AnyRef<'_>>) -> bool {
    value.is_some_and(|value| value.tag() == Tag::Boolean && value.value().iter().any(|b| *b != 0))
}

fn parent(value: AnyRef<'_>) -> std::result::Result<u32, String> {
    let handle = match value.tag() {
        Tag::Integer => number(value.value()),
        _ => None,
    };
    match handle {
        // What tpm2-tss-engine writes for it.
        Some(0) => Ok(OWNER),
        Some(handle) => Ok(handle),
        None => Err("its parent is no handle".into()),
    }
}

/// A number of 32 bits, big-endian; a fifth byte in front is the sign.
fn number(bytes: &[u8]) -> Option<u32> {
    let digits = match bytes {
        [0, rest @ ..] if rest.len() == 4 => rest,
        other => other,
    };
    match digits.len() {
        1..=4 => Some(
            digits
                .iter()
                .fold(0, |sum, byte| sum << 8 | u32::from(*byte)),
        ),
        _ => None,
    }
}

/// The content of a DER INTEGER.
fn unsigned(number: u32) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let zeros = bytes[..3].iter().take_while(|byte| **byte == 0).count();
    let sign = (bytes[zeros] >> 7 == 1).then_some(0);
    sign.into_iter()
        .chain(bytes[zeros..].iter().copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> Tss2Key {
        Tss2Key {
            empty_auth: true,
            policy: vec![(0x16b, Vec::new()), (0x17f, vec![1, 2, 3])],
            secret: None,
            description: Some("device".into()),
            rsa_parent: false,
            parent: 0x8100_0001,
            public: vec![0, 2, 0, 1],
            private: vec![0, 1, 7],
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let importable = Tss2Key {
            secret: Some(vec![5; 40]),
            empty_auth: false,
            rsa_parent: true,
            policy: Vec::new(),
            parent: OWNER,
            ..key()
        };
        for key in [key(), importable] {
            let der = key.to_der().unwrap();
            assert_eq!(Tss2Key::from_der(&der).unwrap(), key);
            for end in 0..der.len() {
                assert!(Tss2Key::from_der(&der[..end]).is_err());
            }
        }
    }

    #[test]
    fn the_form_is_that_of_the_draft() {
        let plain = Tss2Key {
            policy: Vec::new(),
            description: None,
            parent: OWNER,
            ..key()
        };
        let der = [
            0x30, 0x1e, 0x06, 0x06, 0x67, 0x81, 0x05, 0x0a, 0x01, 0x03, 0xa0, 0x03, 0x01, 0x01,
            0xff, 0x02, 0x04, 0x40, 0x00, 0x00, 0x01, 0x04, 0x04, 0, 2, 0, 1, 0x04, 0x03, 0, 1, 7,
        ];
        assert_eq!(plain.to_der().unwrap(), der);
    }

    #[test]
    fn loosely_written_files_are_read() {
        let mut der = Tss2Key {
            policy: Vec::new(),
            description: None,
            ..key()
        }
        .to_der()
        .unwrap();
        let at = der.iter().position(|byte| *byte == 0xff).unwrap();
        der[at] = 1;
        assert!(Tss2Key::from_der(&der).unwrap().empty_auth);
        // 0x81000001 as a negative number, in four bytes.
        assert_eq!(number(&[0x81, 0, 0, 1]), Some(0x8100_0001));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Tss2Key::from_der(&bytes);
        }

        #[test]
        fn any_damage_is_read_or_refused(at in 0usize..60, byte: u8) {
            let mut der = key().to_der().unwrap();
            let at = at % der.len();
            der[at] = byte;
            let _ = Tss2Key::from_der(&der);
        }
    }
}
