//! Ecdsa-Sig-Value, RFC 3279 §2.2.3.

use der::asn1::UintRef;
use der::{Decode, Encode, Sequence};

use crate::error::{Error, Reason, Result};

#[derive(Sequence)]
struct EcdsaSigValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// The largest size in bytes for an order of `bits` bits: two INTEGERs with room for a sign bit.
pub fn max_size(bits: usize) -> usize {
    let integer = 1 + 1 + bits / 8 + 1;
    let length = if 2 * integer < 128 { 1 } else { 2 };
    1 + length + 2 * integer
}

/// The part of a digest's value that is signed: its leftmost bits, FIPS 186-5 §6.4. `order` is in
/// bytes; no curve of ours has an order that ends within a byte of the value.
pub fn leftmost(hashed: &[u8], order: usize) -> &[u8] {
    &hashed[..hashed.len().min(order)]
}

/// Writes r ‖ s (equal halves) as DER into `out` and returns the size.
pub fn to_der(raw: &[u8], out: &mut [u8]) -> Result<usize> {
    let wrong = |what: String| Error::new(Reason::TokenFailed, what);
    if raw.is_empty() || !raw.len().is_multiple_of(2) {
        return Err(wrong(format!(
            "the token returned an ECDSA signature of {} bytes",
            raw.len()
        )));
    }
    let (r, s) = raw.split_at(raw.len() / 2);
    let value = EcdsaSigValue {
        r: UintRef::new(r).map_err(|error| wrong(error.to_string()))?,
        s: UintRef::new(s).map_err(|error| wrong(error.to_string()))?,
    };
    let written = value
        .encode_to_slice(out)
        .map_err(|error| wrong(format!("the ECDSA signature does not fit: {error}")))?;
    Ok(written.len())
}

/// r ‖ s, each of `order` bytes, from DER; `None` if it is no signature of that size.
pub fn from_der(der: &[u8], order: usize) -> Option<Vec<u8>> {
    let value = EcdsaSigValue::from_der(der).ok()?;
    let mut raw = vec![0; 2 * order];
    let (r, s) = raw.split_at_mut(order);
    for (half, number) in [(r, value.r), (s, value.s)] {
        let number = number.as_bytes();
        let start = order.checked_sub(number.len())?;
        half[start..].copy_from_slice(number);
    }
    Some(raw)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key::Curve;

    #[test]
    fn numbers_get_their_sign_byte_and_lose_their_zeros() {
        let mut raw = [0u8; 64];
        raw[0] = 0x80;
        raw[63] = 1;
        let mut out = [0u8; 72];
        let size = to_der(&raw, &mut out).unwrap();
        assert_eq!(out[..5], [0x30, 0x26, 0x02, 0x21, 0x00]);
        assert_eq!(out[size - 3..size], [0x02, 0x01, 0x01]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = from_der(&bytes, 32);
        }

        #[test]
        fn any_signature_fits_the_largest_size(raw in proptest::collection::vec(any::<u8>(), 132)) {
            for curve in Curve::ALL {
                let size = curve.field_size();
                let mut raw = raw[..2 * size].to_vec();
                // Below the order: P-521 leaves seven bits of the first byte unused.
                let unused = 8 * size - curve.bits();
                raw[0] &= 0xff >> unused;
                raw[size] &= 0xff >> unused;
                let mut out = vec![0; max_size(curve.bits())];
                let written = to_der(&raw, &mut out).unwrap();
                prop_assert_eq!(from_der(&out[..written], size), Some(raw));
            }
        }
    }
}
