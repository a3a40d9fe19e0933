//! EMSA-PKCS1-v1_5, RFC 8017 §9.2: the padding on the host, for tokens that have only raw RSA.

use crate::error::{Error, Reason, Result};

/// Pads `data` (a DigestInfo, or what the caller has in its place) to `size` bytes, the modulus'.
pub fn encode(data: &[u8], size: usize) -> Result<Vec<u8>> {
    // 0x00 ‖ 0x01 ‖ at least eight 0xff ‖ 0x00 ‖ data.
    let Some(padding) = size.checked_sub(data.len() + 3).filter(|ff| *ff >= 8) else {
        return Err(Error::new(
            Reason::InvalidData,
            format!(
                "{} bytes do not fit an RSA key of {} bits; choose a shorter digest",
                data.len(),
                8 * size
            ),
        ));
    };
    let mut padded = vec![0, 1];
    padded.resize(2 + padding, 0xff);
    padded.push(0);
    padded.extend(data);
    Ok(padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_that_of_the_rfc() {
        let padded = encode(&[7; 5], 16).unwrap();
        assert_eq!(padded[..2], [0, 1]);
        assert_eq!(padded[2..10], [0xff; 8]);
        assert_eq!(padded[10..], [0, 7, 7, 7, 7, 7]);
        assert!(encode(&[7; 6], 16).is_err());
    }
}
