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
    let h = salted_hash(hash, digest, salt);

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

/// The salt of an encoded message, RFC 8017 §9.1.2, and the hash with it, both as they stand there.
pub struct Decoded {
    pub salt: Vec<u8>,
    salted_hash: Vec<u8>,
}

impl Decoded {
    /// Whether it is the encoding of the digest value `hash`.
    pub fn is_of(&self, hash: &[u8], digest: Digest) -> bool {
        salted_hash(hash, digest, &self.salt) == self.salted_hash
    }
}

/// Takes apart `number`, of the modulus' size; `None` if it is no encoded message. It is public: what a
/// signature is made of.
pub fn decode(number: &[u8], digest: Digest, mgf1: Digest, bits: usize) -> Option<Decoded> {
    let size = encoded_size(bits);
    if number.len() != bits.div_ceil(8) {
        return None;
    }
    let (zeros, em) = number.split_at_checked(number.len() - size)?;
    let db_size = size.checked_sub(digest.size() + 1)?;
    let (masked, rest) = em.split_at_checked(db_size)?;
    let (h, trailer) = rest.split_at_checked(digest.size())?;
    let mut db = masked.to_vec();
    mgf1::apply(&mut db, h, mgf1);
    let unused = 8 * size - (bits - 1);
    *db.first_mut()? &= 0xff >> unused;
    let start = db.iter().position(|byte| *byte != 0)?;
    let is_framed = zeros.iter().all(|byte| *byte == 0) && trailer == [0xbc] && db[start] == 1;
    is_framed.then(|| Decoded {
        salt: db[start + 1..].to_vec(),
        salted_hash: h.to_vec(),
    })
}

fn salted_hash(hash: &[u8], digest: Digest, salt: &[u8]) -> Vec<u8> {
    let mut hasher = digest.hasher();
    hasher.update(&[0; 8]);
    hasher.update(hash);
    hasher.update(salt);
    hasher.finalize()
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
    fn what_was_encoded_is_taken_apart_again() {
        for (bits, salt) in [(1024, 20), (1025, 0), (1031, 32), (2048, 222)] {
            let em = encode(&[7; 32], Digest::Sha256, Digest::Sha1, salt, bits).unwrap();
            let decoded = decode(&em, Digest::Sha256, Digest::Sha1, bits).unwrap();
            assert_eq!(decoded.salt.len(), salt);
            assert!(decoded.is_of(&[7; 32], Digest::Sha256));
            assert!(!decoded.is_of(&[8; 32], Digest::Sha256));
            assert!(decode(&em[1..], Digest::Sha256, Digest::Sha1, bits).is_none());
            assert!(decode(&[0; 8], Digest::Sha256, Digest::Sha1, bits).is_none());
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
