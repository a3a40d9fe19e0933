//! EMSA-PSS, RFC 8017 §9.1.1: the padding on the host, for tokens that have only raw RSA or do not
//! know the digest.

use super::mgf1;
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};

/// The longest salt in bytes that fits a modulus of `bits` bits.
pub fn max_salt(bits: usize, digest: Digest) -> Option<usize> {
    encoded_size(bits).checked_sub(digest.size() + 2)
}

/// Encodes the digest value `hash` for a modulus of `bits` bits, with a random salt, as a number
/// of the modulus' size.
pub fn encode(
    hash: &[u8],
    digest: Digest,
    mgf1: Digest,
    salt: usize,
    bits: usize,
) -> Result<Vec<u8>> {
    let mut salt_bytes = vec![0; salt];
    getrandom::fill(&mut salt_bytes)
        .map_err(|error| Error::new(Reason::Internal, format!("random salt: {error}")))?;
    encode_with(hash, digest, mgf1, &salt_bytes, bits)
}

fn encode_with(
    hash: &[u8],
    digest: Digest,
    mgf1: Digest,
    salt: &[u8],
    bits: usize,
) -> Result<Vec<u8>> {
    let size = encoded_size(bits);
    if max_salt(bits, digest).is_none_or(|max| salt.len() > max) {
        return Err(Error::new(
            Reason::InvalidParameter,
            format!(
                "a PSS salt of {} bytes with {} does not fit an RSA key of {bits} bits",
                salt.len(),
                digest.name()
            ),
        ));
    }
    let mut hasher = digest.hasher();
    hasher.update(&[0; 8]);
    hasher.update(hash);
    hasher.update(salt);
    let h = hasher.finalize();

    // EM = maskedDB ‖ H ‖ 0xbc, DB = zeros ‖ 0x01 ‖ salt.
    let db_size = size - h.len() - 1;
    let mut em = vec![0; size];
    em[db_size - salt.len() - 1] = 1;
    em[db_size - salt.len()..db_size].copy_from_slice(salt);
    mgf1::apply(&mut em[..db_size], &h, mgf1);
    em[0] &= 0xff >> (8 * size - (bits - 1));
    em[db_size..size - 1].copy_from_slice(&h);
    em[size - 1] = 0xbc;

    // With bits = 8k + 1 the encoded message is one byte shorter than the modulus.
    let mut number = vec![0; bits.div_ceil(8) - size];
    number.extend(em);
    Ok(number)
}

/// emLen for emBits = bits - 1.
fn encoded_size(bits: usize) -> usize {
    (bits.max(1) - 1).div_ceil(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_that_of_the_rfc_for_every_size() {
        for bits in [1024, 1025, 1031, 2048] {
            let em = encode(&[7; 32], Digest::Sha256, Digest::Sha256, 32, bits).unwrap();
            assert_eq!(em.len(), bits.div_ceil(8));
            assert_eq!(em.last(), Some(&0xbc));
            let unused = 8 * em.len() - (bits - 1);
            let top = u16::from_be_bytes([em[0], em[1]]);
            assert!(top.leading_zeros() as usize >= unused, "{bits}");
        }
    }

    #[test]
    fn a_salt_that_does_not_fit_is_refused() {
        let max = max_salt(1024, Digest::Sha512).unwrap();
        assert_eq!(max, 128 - 64 - 2);
        assert!(encode(&[0; 64], Digest::Sha512, Digest::Sha512, max, 1024).is_ok());
        assert!(encode(&[0; 64], Digest::Sha512, Digest::Sha512, max + 1, 1024).is_err());
        assert_eq!(max_salt(512, Digest::Sha512), None);
    }
}
