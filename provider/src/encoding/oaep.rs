//! EME-OAEP, RFC 8017 §7.1, on the host.

use ctutils::{Choice, CtEq, CtSelect};
use zeroize::Zeroizing;

use super::mgf1;
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};

/// The digests and the label.
#[derive(Clone, Copy)]
pub struct Oaep<'a> {
    pub digest: Digest,
    pub mgf1: Digest,
    pub label: &'a [u8],
}

impl Oaep<'_> {
    /// The longest message for a modulus of `size` bytes.
    pub fn max_message(&self, size: usize) -> Option<usize> {
        size.checked_sub(2 * self.digest.size() + 2)
    }

    /// Encodes `message` for a modulus of `size` bytes, with a random seed.
    pub fn encode(&self, message: &[u8], size: usize) -> Result<Zeroizing<Vec<u8>>> {
        let mut seed = Zeroizing::new(vec![0; self.digest.size()]);
        getrandom::fill(&mut seed)
            .map_err(|error| Error::new(Reason::Internal, format!("random seed: {error}")))?;
        self.encode_with(message, &seed, size)
    }

    fn encode_with(&self, message: &[u8], seed: &[u8], size: usize) -> Result<Zeroizing<Vec<u8>>> {
        let max = self.max_message(size).ok_or_else(|| self.too_short(size))?;
        let Some(zeros) = max.checked_sub(message.len()) else {
            return Err(Error::new(
                Reason::InvalidData,
                format!(
                    "the data to encrypt has {} bytes; with OAEP and {} at most {max} fit this key",
                    message.len(),
                    self.digest.name()
                ),
            ));
        };
        // 0x00 ‖ maskedSeed ‖ maskedDB, where DB = lHash ‖ zeros ‖ 0x01 ‖ M.
        let mut encoded = Zeroizing::new(Vec::with_capacity(size));
        encoded.push(0);
        encoded.extend(seed);
        encoded.extend(self.digest.hash(self.label));
        encoded.extend(std::iter::repeat_n(0, zeros));
        encoded.push(1);
        encoded.extend(message);
        let (seed, data) = encoded[1..].split_at_mut(self.digest.size());
        mgf1::apply(data, seed, self.mgf1);
        mgf1::apply(seed, data, self.mgf1);
        Ok(encoded)
    }

    /// The message in `encoded`, which has the modulus' size. What is wrong with it takes no time that
    /// depends on it, and has one error (Manger's attack).
    pub fn decode(&self, mut encoded: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>> {
        if self.max_message(encoded.len()).is_none() {
            return Err(self.too_short(encoded.len()));
        }
        let hash = self.digest.size();
        let (first, masked) = encoded.split_at_mut(1);
        let (seed, data) = masked.split_at_mut(hash);
        mgf1::apply(seed, data, self.mgf1);
        mgf1::apply(data, seed, self.mgf1);
        let (label, padded) = data.split_at(hash);

        let mut good = first[0].ct_eq(&0) & label.ct_eq(&self.digest.hash(self.label)[..]);
        // Zeros, then the first byte that is none must be 1; the message begins behind it.
        let (mut in_zeros, mut start) = (Choice::TRUE, 0_u32);
        for (index, byte) in (1_u32..).zip(padded) {
            let (is_zero, is_one) = (byte.ct_eq(&0), byte.ct_eq(&1));
            start = start.ct_select(&index, in_zeros & is_one);
            good &= !in_zeros | is_zero | is_one;
            in_zeros &= is_zero;
        }
        good &= !in_zeros;
        match good.to_bool() {
            true => Ok(Zeroizing::new(padded[start as usize..].to_vec())),
            false => Err(Error::new(
                Reason::InvalidData,
                "the ciphertext is not one for this key with this OAEP digest and label",
            )),
        }
    }

    fn too_short(&self, size: usize) -> Error {
        Error::new(
            Reason::UnsupportedDigest,
            format!(
                "OAEP with {} needs a longer key than {} bits",
                self.digest.name(),
                8 * size
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA1: Oaep<'static> = Oaep {
        digest: Digest::Sha1,
        mgf1: Digest::Sha1,
        label: b"",
    };
    const MIXED: Oaep<'static> = Oaep {
        digest: Digest::Sha256,
        mgf1: Digest::Sha1,
        label: b"label",
    };

    #[test]
    fn what_is_encoded_is_decoded() {
        for oaep in [SHA1, MIXED] {
            for size in [128, 256] {
                let max = oaep.max_message(size).unwrap();
                for length in [0, 1, max] {
                    let message = vec![1; length];
                    let encoded = oaep.encode(&message, size).unwrap();
                    assert_eq!((encoded.len(), encoded[0]), (size, 0));
                    assert_eq!(*oaep.decode(encoded).unwrap(), message);
                }
                assert!(oaep.encode(&vec![1; max + 1], size).is_err());
            }
        }
        assert!(MIXED.encode(b"", 65).is_err());
    }

    #[test]
    fn another_label_digest_or_byte_is_refused() {
        let encoded = MIXED.encode(b"message", 128).unwrap();
        let others = [
            Oaep {
                label: b"",
                ..MIXED
            },
            Oaep {
                mgf1: Digest::Sha256,
                ..MIXED
            },
            Oaep {
                digest: Digest::Sha1,
                ..MIXED
            },
        ];
        for other in others {
            assert!(other.decode(encoded.clone()).is_err());
        }
        for index in 0..encoded.len() {
            let mut changed = encoded.clone();
            changed[index] ^= 0x10;
            // The seed's mask is of all the data, so that any change is seen in the label's hash.
            assert!(MIXED.decode(changed).is_err(), "byte {index}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes: Vec<u8>) {
            let _ = SHA1.decode(Zeroizing::new(bytes.clone()));
            let _ = MIXED.decode(Zeroizing::new(bytes));
        }
    }
}
