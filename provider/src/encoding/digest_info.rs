//! DigestInfo, RFC 8017 §9.2: what RSASSA-PKCS1-v1_5 signs.

use der::Sequence;
use der::asn1::{AnyRef, OctetStringRef};
use spki::AlgorithmIdentifierRef;

use super::to_der;
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};

#[derive(Sequence)]
struct DigestInfo<'a> {
    algorithm: AlgorithmIdentifierRef<'a>,
    digest: &'a OctetStringRef,
}

/// DER of the DigestInfo of `value`, which must be of the digest's size.
pub fn digest_info(digest: Digest, value: &[u8]) -> Result<Vec<u8>> {
    let value = OctetStringRef::new(value)
        .map_err(|error| Error::new(Reason::InvalidData, error.to_string()))?;
    to_der(&DigestInfo {
        algorithm: AlgorithmIdentifierRef {
            oid: digest.oid(),
            parameters: Some(AnyRef::NULL),
        },
        digest: value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_that_of_rfc_8017() {
        let info = digest_info(Digest::Sha256, &[0xaa; 32]).unwrap();
        let prefix = [
            0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
            0x01, 0x05, 0x00, 0x04, 0x20,
        ];
        assert_eq!(info[..19], prefix);
        assert_eq!(info[19..], [0xaa; 32]);
    }
}
