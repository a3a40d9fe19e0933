//! What a hardware key can do, whatever hardware it is.

mod curve;
mod public;

use std::fmt;
use std::sync::Arc;

pub use curve::{Curve, Edwards};
pub use public::{PublicKey, RsaUse};
use zeroize::Zeroizing;

use crate::digest::Digest;
use crate::encoding::rejection;
use crate::error::{Error, Reason, Result};

/// A private key in hardware, with its public half. Cheap to clone.
#[derive(Clone)]
pub struct Key(Arc<dyn HardwareKey>);

impl Key {
    pub fn new(key: impl HardwareKey + 'static) -> Self {
        if matches!(key.public(), PublicKey::Rsa { .. }) && !key.decrypts_raw() {
            rejection::prepare();
        }
        Self(Arc::new(key))
    }
}

impl std::ops::Deref for Key {
    type Target = dyn HardwareKey;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

/// What a backend provides for one key.
///
/// One [`sign`](Self::sign) is one operation of the hardware from start to end, so that a backend
/// can log in between the two where the key asks for it (smart cards).
pub trait HardwareKey: Send + Sync {
    fn public(&self) -> &PublicKey;

    /// The URI that finds this key and no other one, without any PIN.
    fn uri(&self) -> String;

    /// Where the key lives, for people: `token "gateway" (SoftHSM project, serial 0123)`.
    fn place(&self) -> String;

    /// The key's label or id.
    fn name(&self) -> String;

    /// Whether the key may sign, with this digest if there is one; says why not. libssl asks for
    /// each algorithm that a peer offers: must not touch the hardware.
    fn allows(&self, digest: Option<Digest>) -> Result<()>;

    /// Whether the key takes [`Input::Message`], because the hardware may have to hash by itself.
    fn wants_messages(&self) -> bool;

    /// Signs `input` into `signature`, which has the modulus' size, twice the order's for ECDSA, or
    /// that of the EdDSA signature; returns the bytes written.
    fn sign(&self, scheme: &Scheme, input: Input<'_>, signature: &mut [u8]) -> Result<usize>;

    /// Whether `signature` (as [`sign`](Self::sign) makes it) over `data` is this key's.
    fn verify(&self, scheme: &Scheme, data: &[u8], signature: &[u8]) -> Result<bool>;

    /// The digest that OpenSSL takes where nobody names one.
    fn default_digest(&self) -> Digest {
        Digest::Sha256
    }

    /// Whether a PSS signature may have a salt of another length than the digest's.
    fn salts_freely(&self) -> bool {
        true
    }

    /// Whether there is more of it than a public half that another provider handed over.
    fn has_private(&self) -> bool {
        true
    }

    /// What a PEM file of this key holds.
    fn reference(&self) -> Result<Reference> {
        Ok(Reference::Uri(self.uri()))
    }

    /// Decrypts `input`, which has the modulus' size; with [`Decryption::Raw`] the result has it, too.
    fn decrypt(&self, _: &Decryption, _: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        Err(not_offered(self.name(), self.place(), "decrypts"))
    }

    /// Whether [`decrypt`](Self::decrypt) takes [`Decryption::Raw`], so that paddings are taken off on
    /// the host, where nobody sees what was wrong with them.
    fn decrypts_raw(&self) -> bool {
        true
    }

    /// Whether [`decrypt`](Self::decrypt) takes [`Decryption::Oaep`] with these; else it is [`Decryption::Raw`]
    /// and the padding is taken off on the host.
    fn takes_oaep(&self, _digest: Digest, _label: &[u8]) -> bool {
        true
    }

    /// What stands in for a message whose PKCS#1 padding is wrong is made from this (implicit rejection):
    /// 32 bytes, always the same ones for a key, that nobody has who can't use it.
    fn rejection_secret(&self) -> Result<Zeroizing<Vec<u8>>> {
        Err(not_offered(self.name(), self.place(), "decrypts"))
    }

    /// ECDH with the uncompressed point `peer` of the same curve: the x coordinate, of the field's size.
    fn derive(&self, _peer: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        Err(not_offered(self.name(), self.place(), "derives"))
    }
}

/// What a PEM file of a key holds.
pub enum Reference {
    /// A URI that finds it.
    Uri(String),
    /// A TSS2 PRIVATE KEY, in DER: the key itself, wrapped by its TPM.
    Tss2(Vec<u8>),
}

fn not_offered(name: String, place: String, does: &str) -> Error {
    Error::new(
        Reason::OperationNotAllowed,
        format!(
            "key \"{name}\" on {place}: this version of hwkey {does} with keys of TPMs and of Parsec only"
        ),
    )
}

/// How something is decrypted with RSA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decryption {
    /// The bare RSA operation.
    Raw,
    /// RSAES-PKCS1-v1_5 (RFC 8017 §7.2) by the hardware, which tells what is wrong with the padding: only
    /// for keys that can't do [`Self::Raw`].
    Pkcs1,
    /// RSAES-OAEP (RFC 8017 §7.1) with one digest for label and mask.
    Oaep { digest: Digest, label: Vec<u8> },
}

/// The kind of a key that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKey {
    Rsa {
        bits: usize,
        /// `None`: 65537.
        exponent: Option<u32>,
        allowed: RsaUse,
    },
    Ec(Curve),
}

/// What is signed.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// What the scheme takes: a digest's value, or the data itself.
    Data(&'a [u8]),
    /// A whole message for a scheme that takes a digest's value.
    Message { digest: Digest, message: &'a [u8] },
}

/// How a signature is made, and what its input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2). With a digest the input is its value, and the DigestInfo
    /// is put around it; without, the input is padded as it is.
    RsaPkcs1 { digest: Option<Digest> },
    /// RSASSA-PSS (RFC 8017 §8.1); the input is the digest's value.
    RsaPss {
        digest: Digest,
        mgf1: Digest,
        /// Bytes.
        salt: usize,
    },
    /// The bare RSA operation on an input of the modulus' size.
    RsaRaw,
    /// EdDSA without prehashing (RFC 8032); the input is the whole message.
    EdDsa,
    /// ECDSA; the input is a digest's value, the output r ‖ s, each of the order's size.
    Ecdsa,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RsaPkcs1 { digest: None } => write!(f, "RSA PKCS#1 v1.5"),
            Self::RsaPkcs1 { digest: Some(d) } => write!(f, "RSA PKCS#1 v1.5 with {}", d.name()),
            Self::RsaPss { digest, .. } => write!(f, "RSA-PSS with {}", digest.name()),
            Self::RsaRaw => write!(f, "raw RSA"),
            Self::Ecdsa => write!(f, "ECDSA"),
            Self::EdDsa => write!(f, "EdDSA"),
        }
    }
}
