//! The bare public operation of RSA, RSAEP in RFC 8017 §5.1.1. All of it but the message is public.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};

use crate::error::{Error, Reason, Result};

/// `message` to the power of `exponent`, with the modulus' size.
pub fn apply(modulus: &[u8], exponent: &[u8], message: &[u8]) -> Result<Vec<u8>> {
    let bits = u32::try_from(8 * modulus.len()).map_err(|_| not_rsa())?;
    let number = |bytes: &[u8], bits| BoxedUint::from_be_slice(bytes, bits).map_err(|_| not_rsa());
    let (n, e) = (
        number(modulus, bits)?,
        BoxedUint::from_be_slice_vartime(exponent),
    );
    // Big-endian, of one size: the bytes compare as the numbers do.
    if message.len() != modulus.len() || message >= modulus {
        return Err(too_large());
    }
    let m = number(message, bits)?;
    let n = Option::<Odd<BoxedUint>>::from(Odd::new(n)).ok_or_else(not_rsa)?;
    let params = BoxedMontyParams::new_vartime(n);
    let power = BoxedMontyForm::new(m, &params).pow(&e).retrieve();
    // Whole limbs, with zeros before the number.
    let bytes = power.to_be_bytes();
    let start = bytes.len().checked_sub(modulus.len()).ok_or_else(not_rsa)?;
    Ok(bytes[start..].to_vec())
}

/// RFC 8017: "message representative out of range".
#[track_caller]
fn too_large() -> Error {
    Error::new(
        Reason::InvalidData,
        "the data, as a number, is not smaller than the key's modulus",
    )
}

#[track_caller]
fn not_rsa() -> Error {
    Error::new(Reason::UnsupportedKey, "numbers that are no RSA public key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_are_as_by_hand() {
        // 61 · 53 = 3233; 65^17 mod 3233 = 2790.
        let (n, e) = (3233_u16.to_be_bytes(), [17]);
        let c = apply(&n, &e, &65_u16.to_be_bytes()).unwrap();
        assert_eq!(c, 2790_u16.to_be_bytes());
        assert!(apply(&n, &e, &n).is_err());
        assert!(apply(&n, &e, &[1]).is_err());
        assert!(apply(&[2, 0], &e, &[1, 0]).is_err());
        assert!(apply(&[], &[], &[]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_numbers_give_one_or_an_error(n: [u8; 13], e: Vec<u8>, m: [u8; 13]) {
            let _ = apply(&n, &e, &m);
        }
    }
}
