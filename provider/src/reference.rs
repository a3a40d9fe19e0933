//! Reference files: a PEM that holds a key's URI in place of the key.
//!
//! For `pkcs11:` URIs the format is pkcs11-provider's, so that both read each other's:
//! `SEQUENCE { VisibleString "PKCS#11 Provider URI v1.0", UTF8String uri }` under the label
//! `PKCS#11 PROVIDER URI`.

use std::ffi::CStr;

use der::asn1::{AnyRef, Utf8StringRef};
use der::{Decode, Sequence, Tag, Tagged};
use pem_rfc7468::LineEnding;

use crate::encoding::to_der;
use crate::error::{Error, Reason, Result};
use crate::text::one_line;

/// The PEM label of a reference to a PKCS#11 object.
const PEM_LABEL: &str = "PKCS#11 PROVIDER URI";

/// The `structure` by which our decoders find each other.
pub const STRUCTURE: &CStr = c"hwkey-pkcs11-uri";

const DESCRIPTION: &[u8] = b"PKCS#11 Provider URI v1.0";

#[derive(Sequence)]
struct Reference<'a> {
    description: AnyRef<'a>,
    uri: Utf8StringRef<'a>,
}

/// No reference is longer than this many bytes.
pub const LIMIT: usize = 64 * 1024;

/// The DER in `block`, one PEM block with its BEGIN and END lines, if it is a reference.
pub fn der_from_pem(block: &[u8]) -> Result<Option<Vec<u8>>> {
    if !block.starts_with(format!("-----BEGIN {PEM_LABEL}-----").as_bytes()) {
        return Ok(None);
    }
    if !block.windows(10).any(|window| window == b"\n-----END ") {
        return Err(damaged("it has no END line: the file was cut short"));
    }
    let decoded = pem_rfc7468::decode_vec(block);
    let (_, der) = decoded.map_err(|error| damaged(&error.to_string()))?;
    if der.len() >= LIMIT {
        return Err(damaged("it is longer than any reference"));
    }
    Ok(Some(der))
}

/// The URI in a reference's DER.
pub fn uri_from_der(der: &[u8]) -> Result<String> {
    let reference = Reference::from_der(der).map_err(|error| damaged(&error.to_string()))?;
    let description = reference.description;
    if description.tag() != Tag::VisibleString || description.value() != DESCRIPTION {
        return Err(damaged(
            "its first field is not \"PKCS#11 Provider URI v1.0\"",
        ));
    }
    Ok(reference.uri.as_str().to_owned())
}

/// A reference file for the key with `uri`, which `place` and `name` describe to people.
pub fn to_pem(uri: &str, place: &str, name: &str) -> Result<String> {
    let internal = |error: String| Error::new(Reason::Internal, error);
    let der = to_der(&Reference {
        description: AnyRef::new(Tag::VisibleString, DESCRIPTION)
            .map_err(|error| internal(error.to_string()))?,
        uri: Utf8StringRef::new(uri).map_err(|error| internal(error.to_string()))?,
    })?;
    let pem = pem_rfc7468::encode_string(PEM_LABEL, LineEnding::LF, &der)
        .map_err(|error| internal(error.to_string()))?;
    Ok(format!(
        "Reference to a private key in hardware, for OpenSSL with hwkey; it holds no secret.\n\
         Key: \"{}\" on {}\nURI: {}\n{pem}",
        one_line(name),
        one_line(place),
        one_line(uri)
    ))
}

#[track_caller]
fn damaged(problem: &str) -> Error {
    Error::new(
        Reason::InvalidReference,
        format!(
            "reading the PEM block \"{PEM_LABEL}\": {problem}; write the file again with \
             openssl pkey -in URI -out FILE"
        ),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const URI: &str = "pkcs11:token=gateway;object=device";

    fn block(pem: &str) -> &str {
        &pem[pem.find("-----BEGIN").unwrap()..]
    }

    #[test]
    fn what_is_written_reads_back() {
        let pem = to_pem(URI, "token \"x\"", "device").unwrap();
        let der = der_from_pem(block(&pem).as_bytes()).unwrap().unwrap();
        assert_eq!(uri_from_der(&der).unwrap(), URI);
        assert!(pem.contains(&format!("\nURI: {URI}\n")));
    }

    #[test]
    fn a_label_can_not_begin_a_line() {
        let pem = to_pem(URI, "t\n-----BEGIN X-----\n", "k").unwrap();
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
        let pem = to_pem(URI, "t", "k").unwrap();
        let cut = &block(&pem)[..60];
        assert!(der_from_pem(cut.as_bytes()).is_err());
        let der = der_from_pem(block(&pem).as_bytes()).unwrap().unwrap();
        for end in 0..der.len() {
            assert!(uri_from_der(&der[..end]).is_err());
        }
        let mut other = der.clone();
        other[4] ^= 1;
        let error = uri_from_der(&other).unwrap_err();
        assert_eq!(error.reason(), Reason::InvalidReference);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = uri_from_der(&bytes);
            let _ = der_from_pem(&bytes);
        }
    }
}
