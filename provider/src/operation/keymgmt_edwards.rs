//! Ed25519 and Ed448 keys; OpenSSL has a key type for each.

use std::ffi::CStr;

use ossl_shim::Operation;
use ossl_shim::params::{Descriptor, ParamList, ParamsOut, names};

use super::keymgmt::{KeyType, not_made, wrong_type};
use super::new_key::{HWKEY_URI, NewKeyParams};
use crate::error::Result;
use crate::key::{Edwards, Key, NewKey, PublicKey};
use crate::provider::EDDSA;

/// Which of the two.
pub trait EdwardsType: 'static {
    const CURVE: Edwards;
}

/// `ED25519`.
pub struct Ed25519;

/// `ED448`.
pub struct Ed448;

impl EdwardsType for Ed25519 {
    const CURVE: Edwards = Edwards::Ed25519;
}

impl EdwardsType for Ed448 {
    const CURVE: Edwards = Edwards::Ed448;
}

impl<T: EdwardsType> KeyType for T {
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

    fn algorithm(operation: Operation) -> Option<&'static CStr> {
        match operation {
            Operation::Signature => Some(EDDSA),
            _ => None,
        }
    }

    fn accepts(key: &Key) -> bool {
        matches!(key.public(), PublicKey::Edwards { curve, .. } if *curve == T::CURVE)
    }

    fn signature_size(_: &Key) -> Result<usize> {
        Ok(T::CURVE.signature_size())
    }

    fn params(key: &Key, out: &mut ParamsOut<'_>) -> Result<()> {
        let point = point(key)?;
        // The message is signed as it is.
        out.utf8(names::KEY_MANDATORY_DIGEST, c"")?;
        out.octets(names::KEY_PUB, point)?;
        out.octets(names::KEY_ENCODED_PUB, point)?;
        Ok(())
    }

    fn public(key: &Key, with_key: bool) -> Result<ParamList> {
        let list = ParamList::new();
        Ok(match with_key {
            true => list.octets(names::KEY_PUB, point(key)?),
            false => list,
        })
    }

    const PRIVATE: &'static CStr = names::KEY_PRIV;

    const NEW: &'static [Descriptor] = &[Descriptor::utf8(HWKEY_URI), Descriptor::END];

    fn new_key(_: &NewKeyParams) -> Result<NewKey> {
        Err(not_made(T::CURVE.type_name()))
    }
}

fn point(key: &Key) -> Result<&[u8]> {
    match key.public() {
        PublicKey::Edwards { point, .. } => Ok(point),
        _ => Err(wrong_type()),
    }
}
