//! PEM files that stand for a key in hardware.
//!
//! | label | holds |
//! |---|---|
//! | `PKCS#11 PROVIDER URI` | a `pkcs11:` URI, in pkcs11-provider's format, so that both read each other's: `SEQUENCE { VisibleString "PKCS#11 Provider URI v1.0", UTF8String uri }` |
//! | `HWKEY URI` | any other URI: `SEQUENCE { UTF8String "hwkey uri 1", UTF8String uri }` |
//! | `TSS2 PRIVATE KEY` | a key of a TPM, wrapped by it ([`tss2_key`]) |

use std::ffi::CStr;

use der::asn1::{AnyRef, Utf8StringRef};
use der::{Decode, Sequence, Tag, Tagged};
use pem_rfc7468::LineEnding;

use crate::encoding::to_der;
use crate::encoding::tss2_key::{self, Tss2Key};
use crate::error::{Error, Reason, Result};
use crate::key::Reference;
use crate::text::one_line;

/// The `structure` by which our decoders find each other.
pub const STRUCTURE: &CStr = c"hwkey-reference";

const PKCS11_LABEL: &str = "PKCS#11 PROVIDER URI";
const PKCS11_DESCRIPTION: &[u8] = b"PKCS#11 Provider URI v1.0";

const HWKEY_LABEL: &str = "HWKEY URI";
const HWKEY_DESCRIPTION: &[u8] = b"hwkey uri 1";

const LABELS: [&str; 3] = [PKCS11_LABEL, HWKEY_LABEL, tss2_key::PEM_LABEL];

/// What a file names.
pub enum Named {
    Uri(String),
    Tss2(Tss2Key),
}

#[derive(Sequence)]
struct UriReference<'a> {
    description: AnyRef<'a>,
    uri: Utf8StringRef<'a>,
}

/// No reference is longer than this many bytes.
pub const LIMIT: usize = 64 * 1024;

/// The DER in `block`, one PEM block with its BEGIN and END lines, if it is a reference.
pub fn der_from_pem(block: &[u8]) -> Result<Option<Vec<u8>>> {
    let is_begun = |label: &&&str| block.starts_with(format!("-----BEGIN {label}-----").as_bytes());
    let Some(label) = LABELS.iter().find(is_begun) else {
        return Ok(None);
    };
    if !block.windows(10).any(|window| window == b"\n-----END ") {
        return Err(damaged(label, "it has no END line: the file was cut short"));
    }
    let decoded = pem_rfc7468::decode_vec(block);
    let (_, der) = decoded.map_err(|error| damaged(label, &error.to_string()))?;
    if der.len() >= LIMIT {
        return Err(damaged(label, "it is longer than any reference"));
    }
    from_der(&der).map_err(|problem| damaged(label, &problem))?;
    Ok(Some(der))
}

/// The tag that a TSS2 PRIVATE KEY begins with.
const OBJECT_IDENTIFIER: u8 = 6;

/// What a reference's DER names. The error is what is wrong with it.
pub fn from_der(der: &[u8]) -> std::result::Result<Named, String> {
    // That form begins with an object identifier.
    let first = AnyRef::from_der(der).map_err(|error| error.to_string())?;
    if first.value().first() == Some(&OBJECT_IDENTIFIER) {
        return Tss2Key::from_der(der).map(Named::Tss2);
    }
    let reference = UriReference::from_der(der).map_err(|error| error.to_string())?;
    let description = reference.description;
    match (description.tag(), description.value()) {
        (Tag::VisibleString, PKCS11_DESCRIPTION) | (Tag::Utf8String, HWKEY_DESCRIPTION) => {
            Ok(Named::Uri(reference.uri.as_str().to_owned()))
        }
        _ => Err(
            "its first field is neither \"PKCS#11 Provider URI v1.0\" nor \"hwkey uri 1\"".into(),
        ),
    }
}

/// A file for the key with this reference, which `place` and `name` describe to people.
pub fn to_pem(reference: &Reference, place: &str, name: &str) -> Result<String> {
    let internal = |error: String| Error::new(Reason::Internal, error);
    let (name, place) = (one_line(name), one_line(place));
    let (label, der, text) = match reference {
        Reference::Uri(uri) => {
            let text = format!(
                "Reference to a private key in hardware, for OpenSSL with hwkey; it holds no secret.\n\
                 Key: \"{name}\" on {place}\nURI: {}\n",
                one_line(uri)
            );
            let (label, tag, description) = match uri.starts_with("pkcs11:") {
                true => (PKCS11_LABEL, Tag::VisibleString, PKCS11_DESCRIPTION),
                false => (HWKEY_LABEL, Tag::Utf8String, HWKEY_DESCRIPTION),
            };
            let der = to_der(&UriReference {
                description: AnyRef::new(tag, description)
                    .map_err(|error| internal(error.to_string()))?,
                uri: Utf8StringRef::new(uri).map_err(|error| internal(error.to_string()))?,
            })?;
            (label, der, text)
        }
        Reference::Tss2(der) => {
            let text = format!(
                "Private key wrapped by its TPM: no use without that TPM. For OpenSSL with hwkey.\n\
                 Made on {place}\n"
            );
            (tss2_key::PEM_LABEL, der.clone(), text)
        }
    };
    let pem = pem_rfc7468::encode_string(label, LineEnding::LF, &der)
        .map_err(|error| internal(error.to_string()))?;
    Ok(format!("{text}{pem}"))
}

#[track_caller]
fn damaged(label: &str, problem: &str) -> Error {
    let cure = match label {
        tss2_key::PEM_LABEL => "take the file from a backup, or make a new key",
        _ => "write the file again with openssl pkey -in URI -out FILE",
    };
    Error::new(
        Reason::InvalidReference,
        format!("reading the PEM block \"{label}\": {problem}; {cure}"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PKCS11: &str = "pkcs11:token=gateway;object=device";
    const TPM2: &str = "tpm2:handle=0x81000001";

    fn pem(uri: &str) -> String {
        to_pem(&Reference::Uri(uri.into()), "token \"x\"", "device").unwrap()
    }

    fn block(pem: &str) -> &str {
        &pem[pem.find("-----BEGIN").unwrap()..]
    }

    fn der(uri: &str) -> Vec<u8> {
        der_from_pem(block(&pem(uri)).as_bytes()).unwrap().unwrap()
    }

    fn wrapped() -> Tss2Key {
        Tss2Key {
            empty_auth: true,
            policy: Vec::new(),
            secret: None,
            description: None,
            rsa_parent: false,
            parent: tss2_key::OWNER,
            public: vec![1; 300],
            private: vec![2; 40],
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for (uri, label) in [(PKCS11, PKCS11_LABEL), (TPM2, HWKEY_LABEL)] {
            let text = pem(uri);
            assert!(text.contains(&format!("\nURI: {uri}\n-----BEGIN {label}-----\n")));
            assert!(matches!(from_der(&der(uri)), Ok(Named::Uri(read)) if read == uri));
        }
        for key in [
            wrapped(),
            Tss2Key {
                public: vec![3; 20],
                ..wrapped()
            },
        ] {
            let text = to_pem(&Reference::Tss2(key.to_der().unwrap()), "TPM", "k").unwrap();
            let der = der_from_pem(block(&text).as_bytes()).unwrap().unwrap();
            assert!(matches!(from_der(&der), Ok(Named::Tss2(read)) if read == key));
        }
    }

    #[test]
    fn a_label_can_not_begin_a_line() {
        let reference = Reference::Uri(PKCS11.into());
        let pem = to_pem(&reference, "t\n-----BEGIN X-----\n", "k").unwrap();
        assert_eq!(pem.matches("\n-----BEGIN").count(), 1);
    }

    #[test]
    fn other_pem_blocks_are_not_ours() {
        assert!(
            der_from_pem(b"-----BEGIN PRIVATE KEY-----\n")
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn damage_is_told() {
        let text = pem(PKCS11);
        let cut = &block(&text)[..60];
        assert!(der_from_pem(cut.as_bytes()).is_err());
        let good = der(PKCS11);
        for end in 0..good.len() {
            assert!(from_der(&good[..end]).is_err());
        }
        let mut other = good.clone();
        other[4] ^= 1;
        assert!(from_der(&other).is_err());
        let error = der_from_pem(text.replace("MEs", "MEt").as_bytes());
        assert!(
            error.is_ok_and(|nothing| nothing.is_none()),
            "not at its start"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = from_der(&bytes);
            let _ = der_from_pem(&bytes);
        }
    }
}
