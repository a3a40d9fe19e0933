//! How long the salts of a TPM's PSS signatures are.
//!
//! TPMs choose it themselves: those of revision 1.38 and later take the digest's length where it fits,
//! older ones as much as fits (TPM 2.0 Library part 1, B.7). Programs ask for a certain length, TLS 1.3
//! for the digest's, and write it into certificates. So it is looked up in the signature.

use crate::encoding::rsa_signature::salt_length;
use crate::error::{Error, Reason, Result};
use crate::key::{PublicKey, Scheme};

/// What the salt of a signature turned out to be.
pub enum Salt {
    AsWanted,
    /// Of another length, in bytes.
    Other(usize),
}

/// Compares the salt in `signature` with what `scheme` wants. Other schemes have none.
pub fn compare(public: &PublicKey, scheme: &Scheme, signature: &[u8]) -> Result<Salt> {
    let Scheme::RsaPss { digest, mgf1, salt } = scheme else {
        return Ok(Salt::AsWanted);
    };
    match salt_length(public, *digest, *mgf1, signature)? {
        Some(found) if found == *salt => Ok(Salt::AsWanted),
        Some(found) => Ok(Salt::Other(found)),
        None => Err(Error::new(
            Reason::TokenFailed,
            "the TPM has made a signature that is no PSS signature of the key",
        )),
    }
}
