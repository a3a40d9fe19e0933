//! EME-PKCS1-v1_5, RFC 8017 §7.2, on the host. Whoever can learn which ciphertexts are padded well can
//! decrypt all (Bleichenbacher's attack), so nothing here takes a time that depends on it.

use ctutils::{Choice, CtEq, CtGt, CtSelect};
use zeroize::Zeroizing;

use super::rejection::StandIn;
use crate::error::{Error, Reason, Result};

/// 0x00 ‖ 0x02 ‖ at least eight bytes that are not 0x00 ‖ 0x00.
const LEAST_FRAME: usize = 11;

/// TLS' premaster secret, RFC 5246 §7.4.7.1.
pub const PREMASTER_SIZE: usize = 48;

/// The longest message for a modulus of `size` bytes.
pub fn max_message(size: usize) -> usize {
    size.saturating_sub(LEAST_FRAME)
}

/// Pads `message` to `size` bytes, the modulus'.
pub fn encode(message: &[u8], size: usize) -> Result<Zeroizing<Vec<u8>>> {
    let Some(padding) = size
        .checked_sub(message.len() + 3)
        .filter(|bytes| *bytes >= 8)
    else {
        return Err(Error::new(
            Reason::InvalidData,
            format!(
                "the data to encrypt has {} bytes; at most {} fit this key",
                message.len(),
                max_message(size)
            ),
        ));
    };
    // Of the final size at once, so that nothing is left behind in smaller buffers.
    let mut encoded = Zeroizing::new(Vec::with_capacity(size));
    encoded.extend([0, 2]);
    encoded.resize(2 + padding, 0);
    fill_nonzero(&mut encoded[2..])?;
    encoded.push(0);
    encoded.extend(message);
    Ok(encoded)
}

/// The message in `encoded`, which has the modulus' size, or the stand-in.
pub fn decode(encoded: &[u8], stand_in: &StandIn) -> Result<Zeroizing<Vec<u8>>> {
    if encoded.len() != stand_in.bytes.len() || encoded.len() < LEAST_FRAME {
        return Err(wrong_size(encoded.len()));
    }
    let (good, start) = examine(encoded);
    let other = encoded.len() as u32 - stand_in.length;
    let start = other.ct_select(&start, good);
    let mut message = Zeroizing::new(vec![0; encoded.len()]);
    for (index, byte) in message.iter_mut().enumerate() {
        *byte = stand_in.bytes[index].ct_select(&encoded[index], good);
    }
    Ok(Zeroizing::new(message[start as usize..].to_vec()))
}

/// The message in `encoded`, or an error: for programs that have asked for one, as they hide it
/// themselves.
pub fn decode_openly(encoded: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    if encoded.len() < LEAST_FRAME {
        return Err(wrong_size(encoded.len()));
    }
    let (good, start) = examine(encoded);
    match good.to_bool() {
        true => Ok(Zeroizing::new(encoded[start as usize..].to_vec())),
        false => Err(Error::new(
            Reason::InvalidData,
            "the ciphertext is not one for this key with PKCS#1 v1.5 padding",
        )),
    }
}

/// TLS' premaster secret in `encoded`, or a random one if padding, size or version are wrong
/// (RFC 5246 §7.4.7.1). The version is that of the client's hello; `also` is one that some clients give
/// in its place.
pub fn decode_premaster(
    encoded: &[u8],
    version: u16,
    also: Option<u16>,
) -> Result<Zeroizing<Vec<u8>>> {
    let mut secret = random_premaster()?;
    let Some(start) = encoded
        .len()
        .checked_sub(PREMASTER_SIZE)
        .filter(|frame| *frame >= LEAST_FRAME)
    else {
        return Err(wrong_size(encoded.len()));
    };
    let (good, found) = examine(encoded);
    let good = good & found.ct_eq(&(start as u32)) & has_version(&encoded[start..], version, also);
    for (byte, own) in secret.iter_mut().zip(&encoded[start..]) {
        *byte = byte.ct_select(own, good);
    }
    Ok(secret)
}

/// Whether a premaster secret begins with the version.
pub fn has_version(secret: &[u8], version: u16, also: Option<u16>) -> Choice {
    let is = |version: u16| match secret {
        [major, minor, ..] => u16::from_be_bytes([*major, *minor]).ct_eq(&version),
        _ => Choice::FALSE,
    };
    is(version) | also.map_or(Choice::FALSE, is)
}

/// What takes the place of a premaster secret that is wrong.
pub fn random_premaster() -> Result<Zeroizing<Vec<u8>>> {
    let mut secret = Zeroizing::new(vec![0; PREMASTER_SIZE]);
    getrandom::fill(&mut secret).map_err(no_random)?;
    Ok(secret)
}

/// Whether the padding is right, and where the message begins.
fn examine(encoded: &[u8]) -> (Choice, u32) {
    let mut good = encoded[0].ct_eq(&0) & encoded[1].ct_eq(&2);
    let (mut looking, mut start) = (Choice::TRUE, 0_u32);
    for (index, byte) in (3_u32..).zip(&encoded[2..]) {
        let is_zero = byte.ct_eq(&0);
        start = start.ct_select(&index, looking & is_zero);
        looking &= !is_zero;
    }
    good &= !looking & start.ct_gt(&(LEAST_FRAME as u32 - 1));
    (good, start)
}

/// Fills `bytes` with random ones that are not zero.
fn fill_nonzero(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(no_random)?;
    for byte in bytes {
        while *byte == 0 {
            getrandom::fill(std::slice::from_mut(byte)).map_err(no_random)?;
        }
    }
    Ok(())
}

fn no_random(error: getrandom::Error) -> Error {
    Error::new(Reason::Internal, format!("random padding: {error}"))
}

fn wrong_size(size: usize) -> Error {
    Error::new(
        Reason::UnsupportedKey,
        format!(
            "a key of {} bits is too short for PKCS#1 v1.5 padding",
            8 * size
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::rejection::tests::{CIPHERTEXT, MESSAGE, SECRET};
    use crate::encoding::test_bytes as bytes;

    fn stand_in() -> StandIn {
        StandIn::new(&bytes(SECRET), &bytes(CIPHERTEXT))
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for length in [0, 1, 48, 117] {
            let message = vec![0; length];
            let encoded = encode(&message, 128).unwrap();
            assert_eq!(encoded.len(), 128);
            assert_eq!(*decode(&encoded, &stand_in()).unwrap(), message);
            assert_eq!(*decode_openly(&encoded).unwrap(), message);
        }
        assert!(encode(&[0; 118], 128).is_err());
    }

    #[test]
    fn wrong_padding_gets_the_stand_in() {
        let good = encode(b"message", 128).unwrap();
        let change = |index: usize, byte: u8| {
            let mut encoded = good.clone();
            encoded[index] = byte;
            encoded
        };
        let mut endless = vec![7; 128];
        endless[..2].copy_from_slice(&[0, 2]);
        for wrong in [
            change(0, 1),
            change(1, 1),
            change(2, 0),
            change(9, 0),
            Zeroizing::new(endless),
        ] {
            assert_eq!(*decode(&wrong, &stand_in()).unwrap(), bytes(MESSAGE));
            assert!(decode_openly(&wrong).is_err());
        }
        // Eight bytes are enough.
        assert_eq!(decode_openly(&change(10, 0)).unwrap().len(), 117);
    }

    #[test]
    fn a_premaster_secret_of_the_wrong_version_or_size_becomes_a_random_one() {
        let secret = [&[3, 3][..], &[9; 46]].concat();
        let encoded = encode(&secret, 128).unwrap();
        assert_eq!(*decode_premaster(&encoded, 0x0303, None).unwrap(), secret);
        let also = decode_premaster(&encoded, 0x0304, Some(0x0303)).unwrap();
        assert_eq!(*also, secret);
        let other = decode_premaster(&encoded, 0x0302, None).unwrap();
        assert_eq!(other.len(), PREMASTER_SIZE);
        assert_ne!(*other, secret);
        for wrong in [&secret[1..], &[&secret[..], &[1]].concat()] {
            let encoded = encode(wrong, 128).unwrap();
            let random = decode_premaster(&encoded, 0x0303, None).unwrap();
            assert!(!encoded.ends_with(&random));
        }
        assert!(decode_premaster(&[0; 58], 0x0303, None).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes: Vec<u8>) {
            let _ = decode(&bytes, &StandIn::new(&[1; 32], &bytes));
            let _ = decode_openly(&bytes);
            let _ = decode_premaster(&bytes, 0x0303, None);
        }
    }
}
