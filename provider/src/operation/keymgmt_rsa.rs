//! Key management for RSA keys.

use std::ffi::CStr;

use ossl_shim::params::{Descriptor, ParamList, ParamsIn, ParamsOut, names};
use ossl_shim::{KeyManagement, Operation, Selection};

use super::encoder_private::refusal;
use super::keymgmt_ec::not_for_software_keys;
use crate::error::{Error, Reason, Result};
use crate::key::{Key, PublicKey};
use crate::provider::{HwKey, RSA};

/// `RSA`.
pub struct RsaKeys;

impl KeyManagement<HwKey> for RsaKeys {
    const GETTABLE: &'static [Descriptor] = &[
        Descriptor::int(names::KEY_BITS),
        Descriptor::int(names::KEY_SECURITY_BITS),
        Descriptor::int(names::KEY_MAX_SIZE),
        Descriptor::utf8(names::KEY_DEFAULT_DIGEST),
        Descriptor::unsigned(names::KEY_RSA_N),
        Descriptor::unsigned(names::KEY_RSA_E),
        Descriptor::END,
    ];

    const PUBLIC: &'static [Descriptor] = &[
        Descriptor::unsigned(names::KEY_RSA_N),
        Descriptor::unsigned(names::KEY_RSA_E),
        Descriptor::END,
    ];

    fn accepts(key: &Key) -> bool {
        matches!(key.public(), PublicKey::Rsa { .. })
    }

    fn operation_name(operation: Operation) -> Option<&'static CStr> {
        match operation {
            Operation::Signature => Some(RSA),
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
        let (modulus, exponent) = parts(key)?;
        // A modulus has at most 16,384 bits (`PublicKey::rsa`).
        out.int(names::KEY_BITS, key.public().bits() as i32)?;
        out.int(
            names::KEY_SECURITY_BITS,
            key.public().security_bits() as i32,
        )?;
        out.int(names::KEY_MAX_SIZE, modulus.len() as i32)?;
        out.utf8(names::KEY_DEFAULT_DIGEST, c"SHA256")?;
        out.big_number(names::KEY_RSA_N, modulus)?;
        out.big_number(names::KEY_RSA_E, exponent)?;
        Ok(())
    }

    /// See the EC keys.
    fn export(key: &Key, selection: Selection) -> Result<ParamList> {
        let (modulus, exponent) = parts(key)?;
        if selection.private_key() && !selection.public_key() {
            return Err(refusal(key, "exporting the private key"));
        }
        Ok(ParamList::new()
            .big_number(names::KEY_RSA_N, modulus)
            .big_number(names::KEY_RSA_E, exponent))
    }

    fn generate(_: &HwKey, _: Selection, _: &ParamsIn<'_>) -> Result<Key> {
        Err(not_for_software_keys())
    }
}

fn parts(key: &Key) -> Result<(&[u8], &[u8])> {
    match key.public() {
        PublicKey::Rsa { modulus, exponent } => Ok((modulus, exponent)),
        _ => Err(Error::new(Reason::Internal, "not an RSA key")),
    }
}
