//! Signatures over a digest: what ECDSA and RSA have in common.

use ossl_shim::params::{Descriptor, ParamsIn, ParamsOut, names};
use ossl_shim::{OperationContext, Signature};

use super::message::Message;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::key::{Input, Key};
use crate::provider::HwKey;

/// How signatures of one key type are made of a digest's value; the value is the parameters of one
/// signature.
pub trait Hashed: Clone + Default + Send + 'static {
    /// What [`Self::params`] answers besides the digest, ended by [`Descriptor::END`].
    const GETTABLE: &'static [Descriptor];

    /// What [`Self::set_params`] takes besides the digest, ended by [`Descriptor::END`].
    const SETTABLE: &'static [Descriptor];

    /// The size in bytes that a signature of `key` can have.
    fn max_size(key: &Key) -> Result<usize>;

    /// An operation with `key` begins.
    fn begin(&mut self, key: &Key);

    fn sign(&self, message: &Message, input: Input<'_>, signature: &mut [u8]) -> Result<usize>;

    fn verify(&self, message: &Message, hashed: &[u8], signature: &[u8]) -> Result<bool>;

    fn set_params(&mut self, params: &ParamsIn<'_>) -> Result<()>;

    fn params(&self, message: &Message, out: &mut ParamsOut<'_>) -> Result<()>;
}

/// One signature.
#[derive(Default)]
pub struct HashedSignature<T> {
    message: Message,
    scheme: T,
}

impl<T: Hashed> OperationContext<HwKey> for HashedSignature<T> {
    const GETTABLE: &'static [Descriptor] = T::GETTABLE;
    const SETTABLE: &'static [Descriptor] = T::SETTABLE;

    fn new(_: &HwKey) -> Result<Self> {
        Ok(Self::default())
    }

    fn duplicate(&self) -> Result<Self> {
        Ok(Self {
            message: self.message.clone(),
            scheme: self.scheme.clone(),
        })
    }

    fn set_params(&mut self, params: &ParamsIn<'_>) -> Result<()> {
        if let Some(name) = params.utf8(names::SIGNATURE_DIGEST)? {
            self.message.set_digest(name)?;
        }
        self.scheme.set_params(params)
    }

    fn params(&self, out: &mut ParamsOut<'_>) -> Result<()> {
        if let Some(digest) = self.message.digest() {
            out.utf8(names::SIGNATURE_DIGEST, digest.c_name())?;
            out.int(names::SIGNATURE_DIGEST_SIZE, digest.size() as i32)?;
        }
        self.scheme.params(&self.message, out)
    }
}

impl<T: Hashed> Signature<HwKey> for HashedSignature<T> {
    fn sign_init(&mut self, key: Option<&Key>) -> Result<()> {
        self.message.start(key)?;
        self.begin()?;
        self.allowed(None)
    }

    fn sign(&mut self, data: &[u8], signature: &mut [u8]) -> Result<usize> {
        self.message.check_hashed(data)?;
        self.sign_input(Input::Data(data), signature)
    }

    fn digest_sign_init(&mut self, digest: Option<&str>, key: Option<&Key>) -> Result<()> {
        self.message.start_signing(digest, key)?;
        self.begin()?;
        self.allowed(self.message.digest())
    }

    fn digest_sign_update(&mut self, data: &[u8]) -> Result<()> {
        self.message.update(data)
    }

    fn digest_sign_final(&mut self, signature: &mut [u8]) -> Result<usize> {
        let finished = self.message.finish()?;
        self.sign_input(finished.input(), signature)
    }

    fn verify_init(&mut self, key: Option<&Key>) -> Result<()> {
        self.message.start(key)?;
        self.begin()
    }

    fn verify(&mut self, data: &[u8], signature: &[u8]) -> Result<bool> {
        self.message.check_hashed(data)?;
        self.verify_hashed(data, signature)
    }

    fn digest_verify_init(&mut self, digest: Option<&str>, key: Option<&Key>) -> Result<()> {
        self.message.start_hashing(digest, key)?;
        self.begin()
    }

    fn digest_verify_final(&mut self, signature: &[u8]) -> Result<bool> {
        let hashed = self.message.finish()?.hashed();
        self.verify_hashed(&hashed, signature)
    }

    fn max_size(&self) -> Result<usize> {
        T::max_size(self.message.key()?)
    }
}

impl<T: Hashed> HashedSignature<T> {
    fn begin(&mut self) -> Result<()> {
        self.scheme.begin(self.message.key()?);
        Ok(())
    }

    fn allowed(&self, digest: Option<Digest>) -> Result<()> {
        let key = self.message.key()?;
        key.allows(digest).map_err(stopping("signing", key))
    }

    fn sign_input(&self, input: Input<'_>, signature: &mut [u8]) -> Result<usize> {
        let outcome = self.scheme.sign(&self.message, input, signature);
        outcome.map_err(stopping("signing", self.message.key()?))
    }

    fn verify_hashed(&self, hashed: &[u8], signature: &[u8]) -> Result<bool> {
        let outcome = self.scheme.verify(&self.message, hashed, signature);
        outcome.map_err(stopping("verifying", self.message.key()?))
    }
}

/// Says what could not be done with which key.
pub fn stopping<'a>(what: &'a str, key: &'a Key) -> impl Fn(Error) -> Error + use<'a> {
    move |error| error.stopping(format!("{what} with {}", key.uri()))
}
