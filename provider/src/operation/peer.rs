//! A public key of another provider: OpenSSL hands it over as the peer's of a key exchange, and for
//! comparisons.

use zeroize::Zeroizing;

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::key::{Decryption, HardwareKey, Input, PublicKey, Scheme};
use crate::provider::cure;

/// Not in any hardware, hence without a private half.
pub struct PeerKey(PublicKey);

impl PeerKey {
    pub fn new(public: PublicKey) -> Self {
        Self(public)
    }
}

impl HardwareKey for PeerKey {
    fn public(&self) -> &PublicKey {
        &self.0
    }

    fn has_private(&self) -> bool {
        false
    }

    fn uri(&self) -> String {
        "a public key in software".to_owned()
    }

    fn place(&self) -> String {
        "no hardware".to_owned()
    }

    fn name(&self) -> String {
        "public key".to_owned()
    }

    fn allows(&self, _: Option<Digest>) -> Result<()> {
        Err(not_in_hardware())
    }

    fn wants_messages(&self) -> bool {
        false
    }

    fn sign(&self, _: &Scheme, _: Input<'_>, _: &mut [u8]) -> Result<usize> {
        Err(not_in_hardware())
    }

    fn verify(&self, _: &Scheme, _: &[u8], _: &[u8]) -> Result<bool> {
        Err(not_in_hardware())
    }

    fn decrypt(&self, _: &Decryption, _: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        Err(not_in_hardware())
    }

    fn rejection_secret(&self) -> Result<Zeroizing<Vec<u8>>> {
        Err(not_in_hardware())
    }

    fn derive(&self, _: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        Err(not_in_hardware())
    }
}

fn not_in_hardware() -> Error {
    Error::new(
        Reason::NotForSoftwareKeys,
        concat!(
            "OpenSSL asked hwkey to use a public key that is in no hardware; ask another provider, or if \
             hwkey is listed before the default one, ",
            cure!()
        ),
    )
}
