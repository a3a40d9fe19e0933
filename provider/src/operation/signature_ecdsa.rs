//! ECDSA.

use ossl_shim::Signature;
use ossl_shim::params::{Descriptor, ParamsIn, ParamsOut, names};

use super::message::Message;
use super::{stopping_signature, stopping_verification};
use crate::encoding::{algorithm, ecdsa};
use crate::error::{Error, Reason, Result};
use crate::key::{Curve, Key, PublicKey, Scheme};
use crate::provider::HwKey;

/// One ECDSA signature.
pub struct EcdsaSignature {
    message: Message,
}

impl Signature<HwKey> for EcdsaSignature {
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

    fn new(_: &HwKey) -> Result<Self> {
        Ok(Self {
            message: Message::default(),
        })
    }

    fn duplicate(&self) -> Result<Self> {
        Ok(Self {
            message: self.message.clone(),
        })
    }

    fn sign_init(&mut self, key: Option<&Key>) -> Result<()> {
        self.message.start(key)?;
        self.allowed()
    }

    fn sign(&mut self, data: &[u8], signature: &mut [u8]) -> Result<usize> {
        self.message.check_hashed(data)?;
        self.sign_hashed(data, signature)
    }

    fn digest_sign_init(&mut self, digest: Option<&str>, key: Option<&Key>) -> Result<()> {
        self.message.start_hashing(digest, key)?;
        self.allowed()
    }

    fn digest_sign_update(&mut self, data: &[u8]) -> Result<()> {
        self.message.update(data)
    }

    fn digest_sign_final(&mut self, signature: &mut [u8]) -> Result<usize> {
        let hashed = self.message.finish()?;
        self.sign_hashed(&hashed, signature)
    }

    fn verify_init(&mut self, key: Option<&Key>) -> Result<()> {
        self.message.start(key)
    }

    fn verify(&mut self, data: &[u8], signature: &[u8]) -> Result<bool> {
        self.message.check_hashed(data)?;
        self.verify_hashed(data, signature)
    }

    fn digest_verify_init(&mut self, digest: Option<&str>, key: Option<&Key>) -> Result<()> {
        self.message.start_hashing(digest, key)
    }

    fn digest_verify_final(&mut self, signature: &[u8]) -> Result<bool> {
        let hashed = self.message.finish()?;
        self.verify_hashed(&hashed, signature)
    }

    fn max_size(&self) -> Result<usize> {
        Ok(ecdsa::max_size(self.curve()?.bits()))
    }

    fn set_params(&mut self, params: &ParamsIn<'_>) -> Result<()> {
        if let Some(name) = params.utf8(names::SIGNATURE_DIGEST)? {
            self.message.set_digest(name)?;
        }
        Ok(())
    }

    fn params(&self, out: &mut ParamsOut<'_>) -> Result<()> {
        let Some(digest) = self.message.digest() else {
            return Ok(());
        };
        if out.wants(names::SIGNATURE_ALGORITHM_ID) {
            let der = algorithm::identifier(&Scheme::Ecdsa, digest)?;
            out.octets(names::SIGNATURE_ALGORITHM_ID, &der)?;
        }
        out.utf8(names::SIGNATURE_DIGEST, digest.c_name())?;
        out.int(names::SIGNATURE_DIGEST_SIZE, digest.size() as i32)?;
        Ok(())
    }
}

impl EcdsaSignature {
    fn allowed(&self) -> Result<()> {
        let key = self.message.key()?;
        key.allows(&Scheme::Ecdsa).map_err(stopping_signature(key))
    }

    fn sign_hashed(&self, hashed: &[u8], signature: &mut [u8]) -> Result<usize> {
        let key = self.message.key()?;
        let order = self.curve()?.field_size();
        let hashed = leftmost(hashed, order);
        let mut raw = [0; 2 * 66];
        let raw = &mut raw[..2 * order];
        let size = key
            .sign(&Scheme::Ecdsa, hashed, raw)
            .map_err(stopping_signature(key))?;
        ecdsa::to_der(&raw[..size], signature)
    }

    fn verify_hashed(&self, hashed: &[u8], signature: &[u8]) -> Result<bool> {
        let key = self.message.key()?;
        let order = self.curve()?.field_size();
        // What is no signature at all does not verify.
        let Some(raw) = ecdsa::from_der(signature, order) else {
            return Ok(false);
        };
        key.verify(&Scheme::Ecdsa, leftmost(hashed, order), &raw)
            .map_err(stopping_verification(key))
    }

    fn curve(&self) -> Result<Curve> {
        match self.message.key()?.public() {
            PublicKey::Ec { curve, .. } => Ok(*curve),
            _ => Err(Error::new(Reason::Internal, "not an EC key")),
        }
    }
}

/// FIPS 186-5 §6.4: the leftmost bits. Some tokens do it themselves, some refuse.
fn leftmost(hashed: &[u8], order: usize) -> &[u8] {
    &hashed[..hashed.len().min(order)]
}
