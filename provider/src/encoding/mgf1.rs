//! MGF1, RFC 8017 B.2.1: the mask of OAEP and PSS.

use zeroize::Zeroizing;

use crate::digest::Digest;

/// XORs MGF1(`seed`) onto `data`.
pub fn apply(data: &mut [u8], seed: &[u8], digest: Digest) {
    for (counter, block) in data.chunks_mut(digest.size()).enumerate() {
        let mut hasher = digest.hasher();
        hasher.update(seed);
        // A modulus has far fewer blocks than a u32 counts.
        hasher.update(&(counter as u32).to_be_bytes());
        let mask = Zeroizing::new(hasher.finalize());
        for (byte, mask) in block.iter_mut().zip(mask.iter()) {
            *byte ^= mask;
        }
    }
}
