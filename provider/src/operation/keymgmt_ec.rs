//! Key management for EC keys.

use std::ffi::CStr;

use ossl_shim::params::{Descriptor, ParamList, ParamsIn, ParamsOut, names};
use ossl_shim::{KeyManagement, Operation, Selection};

use super::encoder_private::refusal;
use crate::encoding::ecdsa;
use crate::error::{Error, Reason, Result};
use crate::key::{Curve, Key, PublicKey};
use crate::provider::{ECDSA, HwKey, LISTED_FIRST};

/// `EC`.
pub struct EcKeys;

impl KeyManagement<HwKey> for EcKeys {
    const GETTABLE: &'static [Descriptor] = &[
        Descriptor::int(names::KEY_BITS),
        Descriptor::int(names::KEY_SECURITY_BITS),
        Descriptor::int(names::KEY_MAX_SIZE),
        Descriptor::utf8(names::KEY_DEFAULT_DIGEST),
        Descriptor::utf8(names::KEY_GROUP_NAME),
        Descriptor::utf8(names::KEY_EC_ENCODING),
        Descriptor::utf8(names::KEY_EC_POINT_FORMAT),
        Descriptor::int(names::KEY_EC_DECODED_FROM_EXPLICIT),
        Descriptor::octets(names::KEY_PUB),
        Descriptor::octets(names::KEY_ENCODED_PUB),
        Descriptor::unsigned(names::KEY_EC_PUB_X),
        Descriptor::unsigned(names::KEY_EC_PUB_Y),
        Descriptor::END,
    ];

    const PUBLIC: &'static [Descriptor] = &[
        Descriptor::utf8(names::KEY_GROUP_NAME),
        Descriptor::octets(names::KEY_PUB),
        Descriptor::END,
    ];

    fn accepts(key: &Key) -> bool {
        matches!(key.public(), PublicKey::Ec { .. })
    }

    fn operation_name(operation: Operation) -> Option<&'static CStr> {
        match operation {
            Operation::Signature => Some(ECDSA),
            _ => None,
        }
    }

    fn has(_: &Key, _: Selection) -> bool {
        // Named parameters, a public half, and the private one in the hardware: always all.
        true
    }

    fn matches(key: &Key, other: &Key, _: Selection) -> bool {
        // Equal public halves have equal parameters and one private half.
        key.public() == other.public()
    }

    fn params(key: &Key, out: &mut ParamsOut<'_>) -> Result<()> {
        let (curve, point) = parts(key)?;
        // A curve has hundreds of bits.
        out.int(names::KEY_BITS, curve.bits() as i32)?;
        out.int(
            names::KEY_SECURITY_BITS,
            key.public().security_bits() as i32,
        )?;
        out.int(names::KEY_MAX_SIZE, ecdsa::max_size(curve.bits()) as i32)?;
        out.utf8(names::KEY_DEFAULT_DIGEST, c"SHA256")?;
        out.utf8(names::KEY_GROUP_NAME, curve.group_name())?;
        // Without these OpenSSL writes explicit parameters, and verifiers refuse the certificate.
        out.utf8(names::KEY_EC_ENCODING, c"named_curve")?;
        out.utf8(names::KEY_EC_POINT_FORMAT, c"uncompressed")?;
        out.int(names::KEY_EC_DECODED_FROM_EXPLICIT, 0)?;
        out.octets(names::KEY_PUB, point)?;
        out.octets(names::KEY_ENCODED_PUB, point)?;
        let (x, y) = point[1..].split_at(curve.field_size());
        out.big_number(names::KEY_EC_PUB_X, x)?;
        out.big_number(names::KEY_EC_PUB_Y, y)?;
        Ok(())
    }

    /// Gives the public half whatever is selected, as long as it is not the private one alone:
    /// OpenSSL asks for everything when it makes its copy for another provider, and is content
    /// with what it gets.
    fn export(key: &Key, selection: Selection) -> Result<ParamList> {
        let (curve, point) = parts(key)?;
        if selection.private_key() && !selection.public_key() {
            return Err(refusal(key, "exporting the private key"));
        }
        let list = ParamList::new().utf8(names::KEY_GROUP_NAME, curve.group_name());
        if selection.public_key() {
            return Ok(list.octets(names::KEY_PUB, point));
        }
        Ok(list)
    }

    fn generate(_: &HwKey, _: Selection, _: &ParamsIn<'_>) -> Result<Key> {
        Err(not_for_software_keys())
    }
}

/// OpenSSL came to us for a key that is to be made in software.
pub fn not_for_software_keys() -> Error {
    Error::new(Reason::NotForSoftwareKeys, LISTED_FIRST).stopping(
        "making a key (this version of hwkey uses keys that exist; make them with pkcs11-tool)",
    )
}

fn parts(key: &Key) -> Result<(Curve, &[u8])> {
    match key.public() {
        PublicKey::Ec { curve, point } => Ok((*curve, point)),
        _ => Err(Error::new(Reason::Internal, "not an EC key")),
    }
}
