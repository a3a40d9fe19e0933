//! EdDSA: Ed25519 and Ed448. The token gets the whole message.

use ossl_shim::params::{Descriptor, ParamsIn, ParamsOut, names};
use ossl_shim::{OperationContext, Signature};

use super::keymgmt::wrong_type;
use super::message::Message;
use super::signature::stopping;
use crate::encoding::algorithm;
use crate::error::{Error, Reason, Result};
use crate::key::{Edwards, Input, Key, PublicKey, Scheme};
use crate::provider::HwKey;

/// One EdDSA signature.
pub struct EddsaSignature {
    message: Message,
}

impl OperationContext<HwKey> for EddsaSignature {
    const GETTABLE: &'static [Descriptor] = &[
        Descriptor::octets(names::SIGNATURE_ALGORITHM_ID),
        Descriptor::END,
    ];

    const SETTABLE: &'static [Descriptor] = &[Descriptor::END];

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

    fn set_params(&mut self, _: &ParamsIn<'_>) -> Result<()> {
        Ok(())
    }

    fn params(&self, out: &mut ParamsOut<'_>) -> Result<()> {
        if out.wants(names::SIGNATURE_ALGORITHM_ID) {
            let der = algorithm::eddsa_identifier(self.curve()?)?;
            out.octets(names::SIGNATURE_ALGORITHM_ID, &der)?;
        }
        Ok(())
    }
}

impl Signature<HwKey> for EddsaSignature {
    fn sign_init(&mut self, _: Option<&Key>) -> Result<()> {
        Err(whole_messages())
    }

    fn sign(&mut self, _: &[u8], _: &mut [u8]) -> Result<usize> {
        Err(whole_messages())
    }

    fn digest_sign_init(&mut self, digest: Option<&str>, key: Option<&Key>) -> Result<()> {
        no_digest(digest)?;
        self.message.start(key)?;
        let key = self.message.key()?;
        key.allows(None).map_err(stopping("signing", key))
    }

    fn digest_sign_update(&mut self, _: &[u8]) -> Result<()> {
        Err(whole_messages())
    }

    fn digest_sign_final(&mut self, _: &mut [u8]) -> Result<usize> {
        Err(whole_messages())
    }

    fn digest_sign(&mut self, message: &[u8], signature: &mut [u8]) -> Result<usize> {
        let key = self.message.key()?;
        key.sign(&Scheme::EdDsa, Input::Data(message), signature)
            .map_err(stopping("signing", key))
    }

    fn verify_init(&mut self, _: Option<&Key>) -> Result<()> {
        Err(whole_messages())
    }

    fn verify(&mut self, _: &[u8], _: &[u8]) -> Result<bool> {
        Err(whole_messages())
    }

    fn digest_verify_init(&mut self, digest: Option<&str>, key: Option<&Key>) -> Result<()> {
        no_digest(digest)?;
        self.message.start(key)
    }

    fn digest_verify_final(&mut self, _: &[u8]) -> Result<bool> {
        Err(whole_messages())
    }

    fn digest_verify(&mut self, message: &[u8], signature: &[u8]) -> Result<bool> {
        let key = self.message.key()?;
        key.verify(&Scheme::EdDsa, message, signature)
            .map_err(stopping("verifying", key))
    }

    fn max_size(&self) -> Result<usize> {
        Ok(self.curve()?.signature_size())
    }
}

impl EddsaSignature {
    fn curve(&self) -> Result<Edwards> {
        match self.message.key()?.public() {
            PublicKey::Edwards { curve, .. } => Ok(*curve),
            _ => Err(wrong_type()),
        }
    }
}

fn whole_messages() -> Error {
    Error::new(
        Reason::InvalidParameter,
        "EdDSA signs whole messages only; use EVP_DigestSign, with openssl pkeyutl -rawin",
    )
}

fn no_digest(digest: Option<&str>) -> Result<()> {
    match digest {
        None => Ok(()),
        Some(name) => Err(Error::new(
            Reason::UnsupportedDigest,
            format!("EdDSA signs the message itself, not its {name} digest; leave it out"),
        )),
    }
}
