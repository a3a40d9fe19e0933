//! `C_Sign`, PKCS#11 v3.1 §5.13.

use cryptoki::context::Function;
use cryptoki::error::{Error, Result};
use cryptoki::session::Session;
use cryptoki_sys::CK_ULONG;

use crate::module::{Module, rv};

impl Module {
    /// Ends the signature that `Session::sign_init` began, into `signature`; returns the number of
    /// bytes written. Between the two a context-specific login may take place.
    ///
    /// A buffer that is too small is `CKR_BUFFER_TOO_SMALL` and leaves the operation active.
    pub fn sign(&self, session: &Session, data: &[u8], signature: &mut [u8]) -> Result<usize> {
        let c_sign = self.functions.C_Sign.ok_or(Error::NullFunctionPointer)?;
        let mut length = CK_ULONG::try_from(signature.len())?;
        // SAFETY: the session is open in this module, and both buffers have the lengths given;
        // C_Sign does not write to the data although its type says so.
        let code = unsafe {
            c_sign(
                session.handle(),
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
