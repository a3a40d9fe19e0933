//! Kinds of hardware. A new one is a folder here, a variant of [`Uri`], and an arm in [`find`].

mod login_lock;
mod names;
mod parsec;
mod pins;
pub mod pkcs11;
pub mod tpm2;

use std::fmt;

use ossl_shim::Passphrase;

use crate::config::Config;
use crate::criterion::Criterion;
use crate::encoding::tss2_key::Tss2Key;
use crate::error::{Error, Reason, Result};
use crate::key::{Key, NewKey, PublicKey};
use crate::pin::Pin;
use crate::uri::Uri;

/// What the program wants to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Anything,
    PrivateKey,
    PublicKey,
    Certificate,
    /// Something that no hardware has (a CRL).
    Nothing,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anything => "anything",
            Self::PrivateKey => "a private key",
            Self::PublicKey => "a public key",
            Self::Certificate => "a certificate",
            Self::Nothing => "nothing that a token has",
        })
    }
}

/// What is asked for under a URI.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    pub wanted: Wanted,
    /// Only what matches it; nothing is an answer then.
    pub criterion: Option<&'a Criterion>,
}

impl From<Wanted> for Query<'_> {
    fn from(wanted: Wanted) -> Self {
        Self {
            wanted,
            criterion: None,
        }
    }
}

/// What was found under a URI.
pub enum Found {
    Key(Key),
    PublicKey(PublicKey),
    /// X.509, DER.
    Certificate(Vec<u8>),
    /// Another URI, where the first one named many things.
    Name {
        uri: String,
        description: String,
    },
}

/// Who can be asked for a PIN during one call.
pub struct Login<'a, 'p> {
    passphrase: Option<&'a mut Passphrase<'p>>,
    /// `pin-prompt`, too.
    prompts: bool,
}

impl<'a, 'p> Login<'a, 'p> {
    /// The program's own prompt, which OpenSSL offers while a key is loaded.
    pub fn interactive(passphrase: &'a mut Passphrase<'p>) -> Self {
        Self {
            passphrase: Some(passphrase),
            prompts: true,
        }
    }

    /// `pin-prompt` only: at a signature OpenSSL offers no prompt.
    pub fn unattended() -> Login<'static, 'static> {
        Login {
            passphrase: None,
            prompts: true,
        }
    }

    /// Nobody.
    pub fn nobody() -> Login<'static, 'static> {
        Login {
            passphrase: None,
            prompts: false,
        }
    }

    /// Whether `pin-prompt` may ask.
    pub fn prompts(&self) -> bool {
        self.prompts
    }

    /// Asks for the PIN of `what`; `None` if nobody can be asked or nothing was answered.
    pub fn ask(&mut self, what: &str) -> Option<Pin> {
        let passphrase = self.passphrase.as_deref_mut()?;
        let pin = Pin::filled(|buffer| passphrase.ask(what, buffer))?;
        (!pin.is_empty()).then_some(pin)
    }
}

/// The objects that `uri` names. Without a criterion an empty answer is an error.
pub fn find(
    config: &Config,
    uri: &Uri,
    query: Query<'_>,
    login: &mut Login<'_, '_>,
) -> Result<Vec<Found>> {
    match uri {
        Uri::Pkcs11(uri) => pkcs11::find(config, uri, query, login),
        Uri::Tpm2(uri) => tpm2::find(config, uri, query, login),
        Uri::Parsec(uri) => parsec::find(config, uri, query),
    }
}

/// The key in a TSS2 PRIVATE KEY file.
pub fn unwrap(config: &Config, key: Tss2Key, login: &mut Login<'_, '_>) -> Result<Key> {
    tpm2::unwrap(config, key, login)
}

/// Makes a new key where `uri` says.
pub fn generate(config: &Config, uri: &Uri, kind: NewKey) -> Result<Key> {
    match uri {
        Uri::Tpm2(uri) => tpm2::generate(config, uri, kind),
        Uri::Parsec(uri) => parsec::generate(config, uri, kind),
        Uri::Pkcs11(_) => Err(Error::new(
            Reason::OperationNotAllowed,
            "this version of hwkey makes keys in TPMs and in Parsec only (-pkeyopt hwkey_uri:tpm2:, \
             hwkey_uri:parsec:NAME); in a PKCS#11 token make them with pkcs11-tool --keypairgen",
        )),
    }
}

/// Fills `bytes` with random numbers of the TPM.
pub fn random(config: &Config, bytes: &mut [u8]) -> Result<()> {
    tpm2::random(config, bytes)
}
