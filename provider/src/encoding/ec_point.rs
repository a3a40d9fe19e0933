//! Points in the forms of SEC 1 §2.3.3. OpenSSL before 3.0.8 exports the compressed one.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};

use crate::key::Curve;

/// The uncompressed form of a public `point`; `None` for what is no point of the curve: a token that does
/// not look would show bits of its key to who sends such a point. On curves that no hardware does ECDH on
/// with hwkey, compressed points are `None`, and the others are not looked at.
pub fn uncompressed(curve: Curve, point: &[u8]) -> Option<Vec<u8>> {
    let size = curve.field_size();
    let (first, coordinates) = point.split_first()?;
    let coordinates = match first {
        4 | 6 | 7 if coordinates.len() == 2 * size => coordinates.to_vec(),
        2 | 3 if coordinates.len() == size => {
            let y = Field::of(curve)?.root(coordinates, *first == 3)?;
            [coordinates, &y].concat()
        }
        _ => return None,
    };
    let (x, y) = coordinates.split_at(size);
    match Field::of(curve) {
        Some(field) if !field.has_point(x, y)? => None,
        _ => Some([&[4], coordinates.as_slice()].concat()),
    }
}

/// The numbers modulo a curve's prime.
struct Field {
    prime: &'static [u8],
    b: &'static [u8],
    params: BoxedMontyParams,
}

impl Field {
    fn of(curve: Curve) -> Option<Self> {
        let (prime, b) = numbers(curve)?;
        let odd = Option::<Odd<BoxedUint>>::from(Odd::new(number(prime)?))?;
        Some(Self {
            prime,
            b,
            params: BoxedMontyParams::new_vartime(odd),
        })
    }

    /// `None` for what is not below the prime.
    fn element(&self, bytes: &[u8]) -> Option<BoxedMontyForm> {
        let below = bytes < self.prime;
        below.then(|| Some(BoxedMontyForm::new(number(bytes)?, &self.params)))?
    }

    /// x³ - 3x + b.
    fn square_at(&self, x: &[u8]) -> Option<BoxedMontyForm> {
        let (x, b) = (self.element(x)?, self.element(self.b)?);
        let three_x = &(&x + &x) + &x;
        Some(&(&(&x.square() * &x) - &three_x) + &b)
    }

    fn has_point(&self, x: &[u8], y: &[u8]) -> Option<bool> {
        Some(self.element(y)?.square() == self.square_at(x)?)
    }

    /// The y of y² = x³ - 3x + b that is odd or even, SEC 1 §2.3.4.
    fn root(&self, x: &[u8], odd: bool) -> Option<Vec<u8>> {
        let square = self.square_at(x)?;
        // p mod 4 is 3 for these curves, so that a root is a power: (p + 1) / 4 = (p >> 2) + 1.
        let quarter = &number(self.prime)? >> 2_u32;
        let one = BoxedUint::one_with_precision(quarter.bits_precision());
        let root = square.pow(&quarter.wrapping_add(one));
        let y = match root.retrieve().to_be_bytes().last()? & 1 == u8::from(odd) {
            true => root,
            false => -root,
        };
        // Whole limbs, with zeros before the number.
        let bytes = y.retrieve().to_be_bytes();
        let start = bytes.len().checked_sub(self.prime.len())?;
        Some(bytes[start..].to_vec())
    }
}

fn number(bytes: &[u8]) -> Option<BoxedUint> {
    BoxedUint::from_be_slice(bytes, u32::try_from(8 * bytes.len()).ok()?).ok()
}

/// The field's prime and b, SP 800-186 §3.2.1.
fn numbers(curve: Curve) -> Option<(&'static [u8], &'static [u8])> {
    match curve {
        Curve::P256 => Some((
            b"\xff\xff\xff\xff\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
            \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x5a\xc6\x35\xd8\xaa\x3a\x93\xe7\xb3\xeb\xbd\x55\x76\x98\x86\xbc\x65\x1d\x06\xb0\
            \xcc\x53\xb0\xf6\x3b\xce\x3c\x3e\x27\xd2\x60\x4b",
        )),
        Curve::P384 => Some((
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
            \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff\xff\x00\x00\x00\x00\
            \x00\x00\x00\x00\xff\xff\xff\xff",
            b"\xb3\x31\x2f\xa7\xe2\x3e\xe7\xe4\x98\x8e\x05\x6b\xe3\xf8\x2d\x19\x18\x1d\x9c\x6e\
            \xfe\x81\x41\x12\x03\x14\x08\x8f\x50\x13\x87\x5a\xc6\x56\x39\x8d\x8a\x2e\xd1\x9d\
            \x2a\x85\xc8\xed\xd3\xec\x2a\xef",
        )),
        Curve::P521 => Some((
            b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
            \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
            \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
            \xff\xff\xff\xff\xff\xff",
            b"\x00\x51\x95\x3e\xb9\x61\x8e\x1c\x9a\x1f\x92\x9a\x21\xa0\xb6\x85\x40\xee\xa2\xda\
            \x72\x5b\x99\xb3\x15\xf3\xb8\xb4\x89\x91\x8e\xf1\x09\xe1\x56\x19\x39\x51\xec\x7e\
            \x93\x7b\x16\x52\xc0\xbd\x3b\xb1\xbf\x07\x35\x73\xdf\x88\x3d\x2c\x34\xf1\xef\x45\
            \x1f\xd4\x6b\x50\x3f\x00",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::test_bytes;

    // Public keys that OpenSSL made.
    const POINTS: &[(Curve, &str)] = &[
        (
            Curve::P256,
            "04a58690d07d8ed6fcd39d9d32fcc81d07b3352b5b214ab3042332ae2647ef014b61d3260df024f8\
            28849894d72e8c1ee89835fb8cc7210fbeeb79232bfdccddba",
        ),
        (
            Curve::P384,
            "0452490321f71ea6c65ff8cb8f788d2a63088564a06be7b87cd4fb98f1b8bff8099340732dd53e54\
            2349ee60967076f2229a73d4104514c0a6bed0e3aee52f7772aad9ad1a61a0869b4e0d9e38ce2da0\
            5fb93225c7ec85ea45361d080743481216",
        ),
        (
            Curve::P521,
            "0400e35a19bee2975af1c42e7142cb39c4e42c6114e3c766ba934928130dbbe43a65ada5f21ef0ef\
            72eec4415318a5ef8e2962dc2790566270b3d6061d5e607c8ff2180051cdc97de6e13576050de327\
            c910f9bbf4198e02057e9f901899bfb92ef471978b399944bf97db8e70f8357d30fee936285c4761\
            e315d1f05c76df3c79165531cb",
        ),
    ];

    #[test]
    fn every_form_of_a_point_is_read() {
        for (curve, point) in POINTS {
            let point = test_bytes(point);
            let size = curve.field_size();
            let odd = point[2 * size] & 1;
            let form = |first: u8, length: usize| [&[first], &point[1..=length]].concat();
            for same in [point.clone(), form(2 + odd, size), form(6 + odd, 2 * size)] {
                assert_eq!(uncompressed(*curve, &same).as_ref(), Some(&point));
            }
            let other = uncompressed(*curve, &form(3 - odd, size)).unwrap();
            assert_eq!(
                (&other[..=size], other[2 * size] & 1),
                (&point[..=size], 1 - odd)
            );
        }
    }

    #[test]
    fn what_is_no_point_is_none() {
        // Of two numbers one is an x of a point, roughly.
        let mut none = 0;
        for x in 0..20 {
            let mut point = [0; 33];
            (point[0], point[32]) = (2, x);
            none += u32::from(uncompressed(Curve::P256, &point).is_none());
        }
        assert!((1..20).contains(&none));
        assert!(uncompressed(Curve::P256, &[[2].as_slice(), &[0xff; 32]].concat()).is_none());
        assert!(uncompressed(Curve::Secp256k1, &[2; 33]).is_none());
        assert!(uncompressed(Curve::P256, &[]).is_none());
    }

    #[test]
    fn a_point_beside_the_curve_is_none() {
        for (curve, point) in POINTS {
            let point = test_bytes(point);
            let size = curve.field_size();
            for changed in [size, 2 * size] {
                let mut other = point.clone();
                other[changed] ^= 2;
                assert!(uncompressed(*curve, &other).is_none());
            }
            assert!(
                uncompressed(*curve, &[&[4], vec![0xff; 2 * size].as_slice()].concat()).is_none()
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_point_or_none(bytes: Vec<u8>) {
            for curve in Curve::ALL {
                let _ = uncompressed(*curve, &bytes);
            }
        }
    }
}
