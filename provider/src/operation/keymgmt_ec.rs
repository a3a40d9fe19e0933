//! EC keys.

use std::ffi::CStr;

use ossl_shim::Operation;
use ossl_shim::params::{Descriptor, ParamList, ParamsIn, ParamsOut, names};

use super::keymgmt::{KeyType, default_digest, wrong_type};
use super::new_key::{HWKEY_URI, NewKeyParams};
use crate::encoding::{ec_point, ecdsa};
use crate::error::Result;
use crate::key::{Curve, Key, NewKey, PublicKey};
use crate::provider::{ECDH, ECDSA};

/// `EC`.
pub struct Ec;

impl KeyType for Ec {
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

    fn algorithm(operation: Operation) -> Option<&'static CStr> {
        match operation {
            Operation::Signature => Some(ECDSA),
            Operation::KeyExchange => Some(ECDH),
            _ => None,
        }
    }

    fn accepts(key: &Key) -> bool {
        parts(key).is_ok()
    }

    fn signature_size(key: &Key) -> Result<usize> {
        let (curve, _) = parts(key)?;
        Ok(ecdsa::max_size(curve.bits()))
    }

    fn params(key: &Key, out: &mut ParamsOut<'_>) -> Result<()> {
        let (curve, point) = parts(key)?;
        out.utf8(names::KEY_DEFAULT_DIGEST, default_digest(key))?;
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

    fn public(key: &Key, with_key: bool) -> Result<ParamList> {
        let (curve, point) = parts(key)?;
        let list = ParamList::new().utf8(names::KEY_GROUP_NAME, curve.group_name());
        Ok(match with_key {
            true => list.octets(names::KEY_PUB, point),
            false => list,
        })
    }

    const PRIVATE: &'static CStr = names::KEY_PRIV;

    fn public_from(params: &ParamsIn<'_>) -> Result<Option<PublicKey>> {
        let group = params.utf8(names::KEY_GROUP_NAME)?;
        let curve = group.and_then(Curve::by_group_name);
        Ok(match (curve, params.octets(names::KEY_PUB)?) {
            (Some(curve), Some(point)) => ec_point::uncompressed(curve, point)
                .and_then(|point| PublicKey::ec(curve, &point).ok()),
            _ => None,
        })
    }

    const SETTABLE: &'static [Descriptor] =
        &[Descriptor::octets(names::KEY_ENCODED_PUB), Descriptor::END];

    /// CMS makes the originator's key so: the curve of ours, then its point.
    fn with_params(public: &PublicKey, params: &ParamsIn<'_>) -> Result<Option<PublicKey>> {
        let (PublicKey::Ec { curve, .. }, Some(point)) =
            (public, params.octets(names::KEY_ENCODED_PUB)?)
        else {
            return Ok(None);
        };
        let point = ec_point::uncompressed(*curve, point).unwrap_or_default();
        PublicKey::ec(*curve, &point).map(Some)
    }

    // "encoding" is there for the usual -pkeyopt ec_param_enc:named_curve; our keys have no other one.
    const NEW: &'static [Descriptor] = &[
        Descriptor::utf8(HWKEY_URI),
        Descriptor::utf8(names::KEY_GROUP_NAME),
        Descriptor::utf8(names::KEY_EC_ENCODING),
        Descriptor::END,
    ];

    fn new_key(params: &NewKeyParams) -> Result<NewKey> {
        params.curve().map(NewKey::Ec)
    }
}

fn parts(key: &Key) -> Result<(Curve, &[u8])> {
    match key.public() {
        PublicKey::Ec { curve, point } => Ok((*curve, point)),
        _ => Err(wrong_type()),
    }
}
