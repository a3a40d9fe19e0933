//! Implicit rejection for RSAES-PKCS1-v1_5: what stands in for a message whose padding is wrong
//! (draft-irtf-cfrg-rsa-guidance §7, as OpenSSL has it since 3.2). The same ciphertext has the same one
//! always, so that nobody who asks twice can tell it from a message; where the hardware gives no secret, as long
//! as he asks processes of one family.

use std::sync::OnceLock;

use ctutils::{CtLt, CtSelect};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::{Error, Reason, Result};

/// A stand-in: the last [`Self::length`] of as many bytes as the modulus has.
pub struct StandIn {
    pub bytes: Zeroizing<Vec<u8>>,
    pub length: u32,
}

/// How many lengths are drawn; the last one that fits is taken.
const DRAWS: usize = 128;

/// 0x00 ‖ 0x02 ‖ at least eight bytes ‖ 0x00 is what a message has before it.
const LEAST_FRAME: usize = 11;

impl StandIn {
    /// For `ciphertext`, which has the modulus' size, from the key's rejection secret.
    pub fn new(secret: &[u8], ciphertext: &[u8]) -> Self {
        let key = Zeroizing::new(keyed(secret, &[ciphertext]));
        let size = ciphertext.len();
        let drawn = pseudorandom(&key[..], b"length", 2 * DRAWS);
        // One more than the longest message.
        let limit = (size + 1).saturating_sub(LEAST_FRAME) as u32;
        let mask = (limit + 1).next_power_of_two() - 1;
        let mut length = 0_u32;
        for pair in drawn.chunks_exact(2) {
            let candidate = u32::from(u16::from_be_bytes([pair[0], pair[1]])) & mask;
            length = length.ct_select(&candidate, candidate.ct_lt(&limit));
        }
        Self {
            bytes: pseudorandom(&key[..], b"message", size),
            length,
        }
    }

    /// The stand-in by itself, where there is no padding to hide it among.
    pub fn message(&self) -> Zeroizing<Vec<u8>> {
        let start = self.bytes.len() - self.length as usize;
        Zeroizing::new(self.bytes[start..].to_vec())
    }
}

/// The secret of the key with this modulus, where the hardware has none to give: of the process and of those
/// that it forks, so that no two keys have one.
pub fn secret_for(modulus: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let secret = keyed(process_secret()?, &[modulus]);
    Ok(Zeroizing::new(secret.to_vec()))
}

/// Makes the process' secret while a key is loaded: made at the first decryption, each worker that a server
/// forks would have its own, and who asks two of them could tell a stand-in from a message.
pub fn prepare() {
    if let Err(error) = process_secret() {
        // The first decryption tries it again, and says what went wrong.
        log::debug!("{error}");
    }
}

fn process_secret() -> Result<&'static [u8; 32]> {
    static SECRET: OnceLock<[u8; 32]> = OnceLock::new();
    if let Some(secret) = SECRET.get() {
        return Ok(secret);
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|error| Error::new(Reason::Internal, format!("random secret: {error}")))?;
    Ok(SECRET.get_or_init(|| secret))
}

/// `size` bytes in blocks of HMAC(key, counter ‖ label ‖ size in bits).
fn pseudorandom(key: &[u8], label: &[u8], size: usize) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(vec![0; size]);
    // A modulus has at most 2,048 bytes (`PublicKey::rsa`).
    let bits = (8 * size) as u16;
    for (counter, block) in (0_u16..).zip(bytes.chunks_mut(32)) {
        let parts = [&counter.to_be_bytes()[..], label, &bits.to_be_bytes()];
        let value = Zeroizing::new(keyed(key, &parts));
        block.copy_from_slice(&value[..block.len()]);
    }
    bytes
}

/// HMAC-SHA256.
fn keyed(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // `new_from_slice` refuses no length (RFC 2104 §3: longer keys are hashed).
    let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; 32];
    };
    for part in parts {
        hmac.update(part);
    }
    hmac.finalize().into_bytes().into()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::encoding::test_bytes as bytes;

    // The secret is SHA-256 of an RSA key's private exponent, and the stand-in what OpenSSL 4.0
    // decrypts the ciphertext to.
    pub const SECRET: &str = "cbef77f9c64ea0d87fc3d6a130fa6cc99dbcaefb45ddae9f135afa3291adc833";
    pub const CIPHERTEXT: &str = "7c2fab5bf1a40cd7ed005596ea220f880ab604914005215faf7bd1cd3e63b2d8\
        4ee1d65e3909eddaae97f3704154b7edafadb46db996601d236ace2c7c5bc1b1\
        dc24ffb2a3b42d51e3bc03cf7ec769e25a553aacd9711a3bd97c036ae6d7af32\
        8f7e0aeaf5ba9699e2193eeba290c60024566e013f8412a8334cc535adb24c0b";
    pub const MESSAGE: &str = "913f8d2786d0ccd29cc48f3fdba4d077ea";

    #[test]
    fn the_stand_in_is_openssls() {
        let stand_in = StandIn::new(&bytes(SECRET), &bytes(CIPHERTEXT));
        assert_eq!(*stand_in.message(), bytes(MESSAGE));
    }

    #[test]
    fn it_fits_every_key() {
        for size in [0, 1, 10, 11, 12, 64, 2048] {
            for first in 0..50 {
                let mut ciphertext = vec![7; size];
                if let Some(byte) = ciphertext.first_mut() {
                    *byte = first;
                }
                let stand_in = StandIn::new(&[1; 32], &ciphertext);
                assert_eq!(stand_in.bytes.len(), size);
                let longest = size.saturating_sub(LEAST_FRAME);
                assert!(stand_in.message().len() <= longest, "{size}");
            }
        }
    }
}
