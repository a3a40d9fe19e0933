//! ECDSA.

use ossl_shim::params::{Descriptor, ParamsIn, ParamsOut, names};

use super::keymgmt::wrong_type;
use super::message::Message;
use super::signature::{Hashed, HashedSignature};
use crate::encoding::{algorithm, ecdsa};
use crate::error::Result;
use crate::key::{Curve, Input, Key, PublicKey, Scheme};

/// One ECDSA signature.
pub type EcdsaSignature = HashedSignature<Ecdsa>;

/// ECDSA has no parameters but the digest.
#[derive(Clone, Default)]
pub struct Ecdsa;

impl Hashed for Ecdsa {
    const GETTABLE: &'static [Descriptor] = &[
        Descriptor::octets(names::SIGNATURE_ALGORITHM_ID),
        Descriptor::utf8(names::SIGNATURE_DIGEST),
        Descriptor::int(names::SIGNATURE_DIGEST_SIZE),
        Descriptor::END,
    ];

    const SETTABLE: &'static [Descriptor] = &[
        Descriptor::utf8(names::SIGNATURE_DIGEST),
        Descriptor::utf8(names::SIGNATURE_PROPERTIES),
        Descriptor::END,
    ];

    fn max_size(key: &Key) -> Result<usize> {
        Ok(ecdsa::max_size(curve(key)?.bits()))
    }

    fn begin(&mut self, _: &Key) {}

    fn sign(&self, message: &Message, input: Input<'_>, signature: &mut [u8]) -> Result<usize> {
        let key = message.key()?;
        let order = curve(key)?.field_size();
        let mut raw = [0; 2 * 66];
        let raw = &mut raw[..2 * order];
        let size = key.sign(&Scheme::Ecdsa, input, raw)?;
        ecdsa::to_der(&raw[..size], signature)
    }

    fn verify(&self, message: &Message, hashed: &[u8], signature: &[u8]) -> Result<bool> {
        let key = message.key()?;
        let order = curve(key)?.field_size();
        match ecdsa::from_der(signature, order) {
            Some(raw) => key.verify(&Scheme::Ecdsa, hashed, &raw),
            // What is no signature at all does not verify.
            None => Ok(false),
        }
    }

    fn set_params(&mut self, _: &ParamsIn<'_>) -> Result<()> {
        Ok(())
    }

    fn params(&self, message: &Message, out: &mut ParamsOut<'_>) -> Result<()> {
        let Some(digest) = message.digest() else {
            return Ok(());
        };
        if out.wants(names::SIGNATURE_ALGORITHM_ID) {
            let der = algorithm::identifier(&Scheme::Ecdsa, digest)?;
            out.octets(names::SIGNATURE_ALGORITHM_ID, &der)?;
        }
        Ok(())
    }
}

fn curve(key: &Key) -> Result<Curve> {
    match key.public() {
        PublicKey::Ec { curve, .. } => Ok(*curve),
        _ => Err(wrong_type()),
    }
}
