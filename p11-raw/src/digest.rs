//! Hashing in the token, PKCS#11 v3.1 §5.12.

use cryptoki::context::Function;
use cryptoki::error::{Error, Result};
use cryptoki::mechanism::Mechanism;
use cryptoki_sys::{CK_MECHANISM, CK_ULONG};

use crate::module::{Module, function, rv};
use crate::session::Session;

/// No digest has more bytes.
const LARGEST: usize = 64;

impl Module {
    /// The digest of `message` by `mechanism`: C_DigestInit and one C_Digest.
    pub fn digest(
        &self,
        session: &Session,
        mechanism: &Mechanism<'_>,
        message: &[u8],
    ) -> Result<Vec<u8>> {
        let mut mechanism = CK_MECHANISM::from(mechanism);
        let c_digest_init = function!(self, C_DigestInit);
        let c_digest = function!(self, C_Digest);
        // SAFETY: the mechanism's parameter points into the caller's `mechanism`.
        let code = unsafe { c_digest_init(session.0, &mut mechanism) };
        rv(code, Function::DigestInit)?;
        let mut value = vec![0; LARGEST];
        let mut length = CK_ULONG::try_from(value.len())?;
        // SAFETY: both buffers have the lengths given; C_Digest does not write to the message
        // although its type says so.
        let code = unsafe {
            c_digest(
                session.0,
                message.as_ptr().cast_mut(),
                CK_ULONG::try_from(message.len())?,
                value.as_mut_ptr(),
                &mut length,
            )
        };
        rv(code, Function::Digest)?;
        let length = usize::try_from(length)?;
        if length > value.len() {
            return Err(Error::InvalidValue);
        }
        value.truncate(length);
        Ok(value)
    }
}
