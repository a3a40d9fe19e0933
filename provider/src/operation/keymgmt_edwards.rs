//! Key management for Ed25519 and Ed448 keys.

use std::ffi::CStr;
use std::marker::PhantomData;

use ossl_shim::params::{Descriptor, ParamList, ParamsIn, ParamsOut, names};
use ossl_shim::{KeyManagement, Operation, Selection};

use super::encoder_private::refusal;
use super::keymgmt_ec::not_for_software_keys;
use crate::error::{Error, Reason, Result};
use crate::key::{Edwards, Key, PublicKey};
use crate::provider::{EDDSA, HwKey};

/// `ED25519` and `ED448`; OpenSSL has a key type for each.
pub struct EdwardsKeys<T>(PhantomData<T>);

/// Which of the two.
pub trait EdwardsType: 'static {
    const CURVE: Edwards;
}

pub struct Ed25519;
pub struct Ed448;

impl EdwardsType for Ed25519 {
    const CURVE: Edwards = Edwards::Ed25519;
}

impl EdwardsType for Ed448 {
    const CURVE: Edwards = Edwards::Ed448;
}

impl<T: EdwardsType> KeyManagement<HwKey> for EdwardsKeys<T> {
    const GETTABLE: &'static [Descriptor] = &[
        Descriptor::int(names::KEY_BITS),
        Descriptor::int(names::KEY_SECURITY_BITS),
        Descriptor::int(names::KEY_MAX_SIZE),
        Descriptor::utf8(names::KEY_MANDATORY_DIGEST),
        Descriptor::octets(names::KEY_PUB),
        Descriptor::octets(names::KEY_ENCODED_PUB),
        Descriptor::END,
    ];

    const PUBLIC: &'static [Descriptor] = &[Descriptor::octets(names::KEY_PUB), Descriptor::END];

    fn accepts(key: &Key) -> bool {
        matches!(key.public(), PublicKey::Edwards { curve, .. } if *curve == T::CURVE)
    }

    fn operation_name(operation: Operation) -> Option<&'static CStr> {
        match operation {
            Operation::Signature => Some(EDDSA),
            _ => None,
        }
    }

    fn has(_: &Key, _: Selection) -> bool {
        true
    }

    fn matches(key: &Key, other: &Key, _: Selection) -> bool {
        key.public() == other.public()
    }

    fn params(key: &Key, out: &mut ParamsOut<'_>) -> Result<()> {
        let point = point(key)?;
        out.int(names::KEY_BITS, T::CURVE.bits() as i32)?;
        out.int(names::KEY_SECURITY_BITS, T::CURVE.security_bits() as i32)?;
        out.int(names::KEY_MAX_SIZE, T::CURVE.signature_size() as i32)?;
        // The message is signed as it is.
        out.utf8(names::KEY_MANDATORY_DIGEST, c"")?;
        out.octets(names::KEY_PUB, point)?;
        out.octets(names::KEY_ENCODED_PUB, point)?;
        Ok(())
    }

    /// See the EC keys.
    fn export(key: &Key, selection: Selection) -> Result<ParamList> {
        if selection.private_key() && !selection.public_key() {
            return Err(refusal(key, "exporting the private key"));
        }
        Ok(ParamList::new().octets(names::KEY_PUB, point(key)?))
    }

    fn generate(_: &HwKey, _: Selection, _: &ParamsIn<'_>) -> Result<Key> {
        Err(not_for_software_keys())
    }
}

fn point(key: &Key) -> Result<&[u8]> {
    match key.public() {
        PublicKey::Edwards { point, .. } => Ok(point),
        _ => Err(Error::new(Reason::Internal, "not an EdDSA key")),
    }
}
