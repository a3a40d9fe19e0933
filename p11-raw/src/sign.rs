//! Signing, PKCS#11 v3.1 §5.13.

use cryptoki::context::Function;
use cryptoki::error::{Error, Result};
use cryptoki::mechanism::Mechanism;
use cryptoki_sys::{CK_MECHANISM, CK_ULONG};

use crate::module::{Module, function, rv};
use crate::objects::ObjectHandle;
use crate::session::Session;

impl Module {
    /// `C_SignInit`. A context-specific login may take place between this and [`Self::sign`].
    pub fn sign_init(
        &self,
        session: &Session,
        mechanism: &Mechanism<'_>,
        key: ObjectHandle,
    ) -> Result<()> {
        let mut mechanism = CK_MECHANISM::from(mechanism);
        let c_sign_init = function!(self, C_SignInit);
        // SAFETY: the mechanism's parameter points into the caller's `mechanism`.
        let code = unsafe { c_sign_init(session.0, &mut mechanism, key.0) };
        rv(code, Function::SignInit)
    }

    /// One `C_Sign` into `signature`; returns the number of bytes written.
    ///
    /// A buffer that is too small is `CKR_BUFFER_TOO_SMALL` and leaves the operation active.
    pub fn sign(&self, session: &Session, data: &[u8], signature: &mut [u8]) -> Result<usize> {
        let c_sign = function!(self, C_Sign);
        let mut length = CK_ULONG::try_from(signature.len())?;
        // SAFETY: both buffers have the lengths given; C_Sign does not write to the data although
        // its type says so.
        let code = unsafe {
            c_sign(
                session.0,
                data.as_ptr().cast_mut(),
                CK_ULONG::try_from(data.len())?,
                signature.as_mut_ptr(),
                &mut length,
            )
        };
        rv(code, Function::Sign)?;
        let length = usize::try_from(length)?;
        // A module that claims to have written more than there was room for is not to be believed.
        if length > signature.len() {
            return Err(Error::InvalidValue);
        }
        Ok(length)
    }
}
