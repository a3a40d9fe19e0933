//! The key derivation function of ANSI X9.63, SEC 1 §3.6.1.

use zeroize::Zeroizing;

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};

/// Fills `key` from the secret `z` of a key exchange and what both sides know.
pub fn derive(digest: Digest, z: &[u8], shared_info: &[u8], key: &mut [u8]) -> Result<()> {
    // The counter has 32 bits and begins with 1.
    if u32::try_from(key.len() / digest.size()).is_err() {
        return Err(Error::new(
            Reason::InvalidParameter,
            format!("X9.63 does not derive {} bytes", key.len()),
        ));
    }
    for (counter, block) in (1_u32..).zip(key.chunks_mut(digest.size())) {
        let mut hasher = digest.hasher();
        hasher.update(z);
        hasher.update(&counter.to_be_bytes());
        hasher.update(shared_info);
        let value = Zeroizing::new(hasher.finalize());
        block.copy_from_slice(&value[..block.len()]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::test_bytes as bytes;

    fn derived(digest: Digest, z: &str, shared_info: &str, size: usize) -> Vec<u8> {
        let mut key = vec![0; size];
        derive(digest, &bytes(z), &bytes(shared_info), &mut key).unwrap();
        key
    }

    // CAVS 12.0, "ANSI X9.63-2001": the first vector of SHA-256 with and without SharedInfo.
    #[test]
    fn the_vectors_of_nist_are_met() {
        let z = "96c05619d56c328ab95fe84b18264b08725b85e33fd34f08";
        assert_eq!(
            derived(Digest::Sha256, z, "", 16),
            bytes("443024c3dae66b95e6f5670601558f71")
        );
        let z = "22518b10e70f2a3f243810ae3254139efbee04aa57c7af7d";
        let info = "75eef81aa3041e33b80971203d2c0c52";
        let key = "c498af77161cc59f2962b9a713e2b215152d139766ce34a776df11866a69bf2e\
                   52a13d9c7c6fc878c50c5ea0bc7b00e0da2447cfd874f6cf92f30d0097111485\
                   500c90c3af8b487872d04685d14c8d1dc8d7fa08beb0ce0ababc11f0bd496269\
                   142d43525a78e5bc79a17f59676a5706dc54d54d4d1f0bd7e386128ec26afc21";
        assert_eq!(derived(Digest::Sha256, z, info, 128), bytes(key));
    }

    #[test]
    fn a_longer_key_begins_with_the_shorter_one() {
        for digest in Digest::ALL {
            let long = derived(*digest, "0102", "03", 100);
            assert_eq!(derived(*digest, "0102", "03", 33), long[..33]);
        }
    }
}
