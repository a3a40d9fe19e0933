//! What the signature algorithms have in common: the key, the digest, the message hashed so far.

use std::sync::Arc;

use crate::digest::{Digest, Hasher};
use crate::error::{Error, Reason, Result};
use crate::key::{Input, Key};

/// The state of one signature.
#[derive(Clone, Default)]
pub struct Message {
    key: Option<Key>,
    digest: Option<Digest>,
    collected: Option<Collected>,
}

/// A message so far.
#[derive(Clone)]
#[allow(clippy::large_enum_variant)] // A box would be one more allocation for each signature.
enum Collected {
    Hashed(Hasher),
    /// For a key that may have to hash by itself. Shared, because OpenSSL copies the context before
    /// it ends a signature.
    Whole(Arc<Vec<u8>>),
}

/// A finished message.
pub enum Finished {
    Hashed(Vec<u8>),
    Whole(Digest, Arc<Vec<u8>>),
}

impl Finished {
    /// The digest's value.
    pub fn hashed(self) -> Vec<u8> {
        match self {
            Self::Hashed(value) => value,
            Self::Whole(digest, message) => digest.hash(&message),
        }
    }

    /// What a key signs.
    pub fn input(&self) -> Input<'_> {
        match self {
            Self::Hashed(value) => Input::Data(value),
            Self::Whole(digest, message) => Input::Message {
                digest: *digest,
                message,
            },
        }
    }
}

impl Message {
    /// Starts with `key`, or with the one of the last start.
    pub fn start(&mut self, key: Option<&Key>) -> Result<()> {
        if let Some(key) = key {
            self.key = Some(key.clone());
        }
        self.collected = None;
        self.key().map(drop)
    }

    /// Starts to collect a message that is to be signed over `digest`.
    pub fn start_signing(&mut self, digest: Option<&str>, key: Option<&Key>) -> Result<()> {
        self.start_hashing(digest, key)?;
        if self.key()?.wants_messages() {
            self.collected = Some(Collected::Whole(Arc::default()));
        }
        Ok(())
    }

    /// Starts to hash a message with `digest`.
    pub fn start_hashing(&mut self, digest: Option<&str>, key: Option<&Key>) -> Result<()> {
        self.start(key)?;
        if let Some(name) = digest {
            self.set_digest(name)?;
        }
        let digest = self.digest.ok_or_else(no_digest)?;
        self.collected = Some(Collected::Hashed(digest.hasher()));
        Ok(())
    }

    pub fn update(&mut self, data: &[u8]) -> Result<()> {
        match self.collected.as_mut().ok_or_else(not_started)? {
            Collected::Hashed(hasher) => hasher.update(data),
            Collected::Whole(message) => append(message, data)?,
        }
        Ok(())
    }

    /// The message, which can't be extended afterwards.
    pub fn finish(&mut self) -> Result<Finished> {
        let collected = self.collected.take().ok_or_else(not_started)?;
        Ok(match collected {
            Collected::Hashed(hasher) => Finished::Hashed(hasher.finalize()),
            Collected::Whole(message) => {
                Finished::Whole(self.digest.ok_or_else(no_digest)?, message)
            }
        })
    }

    /// Sets the digest. Once a message has begun it is settled.
    pub fn set_digest(&mut self, name: &str) -> Result<()> {
        let digest = digest_by_name(name)?;
        if self.collected.is_some() && self.digest != Some(digest) {
            return Err(Error::new(
                Reason::InvalidParameter,
                "the digest can't be changed after the first data",
            ));
        }
        self.digest = Some(digest);
        Ok(())
    }

    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    pub fn key(&self) -> Result<&Key> {
        self.key.as_ref().ok_or_else(not_started)
    }

    /// Checks that `data` is a value of the digest, if there is one.
    pub fn check_hashed(&self, data: &[u8]) -> Result<()> {
        match self.digest {
            Some(digest) if data.len() != digest.size() => Err(Error::new(
                Reason::InvalidData,
                format!(
                    "the data to sign has {} bytes, a {} digest has {}; to sign a file use \
                     openssl dgst -sign, or pkeyutl -rawin",
                    data.len(),
                    digest.name(),
                    digest.size()
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// Appends to a message that is kept whole. Running out of memory is an error: it must not end the
/// program.
fn append(message: &mut Arc<Vec<u8>>, data: &[u8]) -> Result<()> {
    let too_long = |_| {
        Error::new(
            Reason::InvalidData,
            "there is no memory for a message of this length, which the key or digest = token wants \
             whole; hash it outside, or set digest = host",
        )
    };
    if let Some(own) = Arc::get_mut(message) {
        own.try_reserve(data.len()).map_err(too_long)?;
        own.extend_from_slice(data);
        return Ok(());
    }
    let mut copy = Vec::new();
    let size = message.len().saturating_add(data.len());
    copy.try_reserve(size).map_err(too_long)?;
    copy.extend_from_slice(message);
    copy.extend_from_slice(data);
    *message = Arc::new(copy);
    Ok(())
}

/// The digest that OpenSSL calls `name`.
pub fn digest_by_name(name: &str) -> Result<Digest> {
    Digest::by_name(name).ok_or_else(|| {
        let known: Vec<&str> = Digest::ALL.iter().map(|digest| digest.name()).collect();
        Error::new(
            Reason::UnsupportedDigest,
            format!(
                "hwkey does not hash with {name}; it has {}",
                known.join(", ")
            ),
        )
    })
}

fn no_digest() -> Error {
    Error::new(
        Reason::UnsupportedDigest,
        "a signature over a message needs a digest, such as -sha256",
    )
}

fn not_started() -> Error {
    Error::new(
        Reason::InvalidParameter,
        "the signature was not started with a key",
    )
}
