//! Verifying, PKCS#11 v3.1 §5.15.

use cryptoki::context::Function;
use cryptoki::error::{Error, Result, Rv, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki_sys::{CK_MECHANISM, CK_ULONG};

use crate::module::{Module, function, rv};
use crate::objects::ObjectHandle;
use crate::session::Session;

impl Module {
    /// Whether `signature` over `data` is the public key's.
    pub fn verify(
        &self,
        session: &Session,
        mechanism: &Mechanism<'_>,
        key: ObjectHandle,
        data: &[u8],
        signature: &[u8],
    ) -> Result<bool> {
        let mut mechanism = CK_MECHANISM::from(mechanism);
        let c_verify_init = function!(self, C_VerifyInit);
        let c_verify = function!(self, C_Verify);
        // SAFETY: the mechanism's parameter points into the caller's `mechanism`.
        let code = unsafe { c_verify_init(session.0, &mut mechanism, key.0) };
        rv(code, Function::VerifyInit)?;
        // SAFETY: both buffers have the lengths given; C_Verify writes to neither although its
        // type says so.
        let code = unsafe {
            c_verify(
                session.0,
                data.as_ptr().cast_mut(),
                CK_ULONG::try_from(data.len())?,
                signature.as_ptr().cast_mut(),
                CK_ULONG::try_from(signature.len())?,
            )
        };
        match Rv::from(code) {
            Rv::Ok => Ok(true),
            Rv::Error(RvError::SignatureInvalid | RvError::SignatureLenRange) => Ok(false),
            Rv::Error(error) => Err(Error::Pkcs11(error, Function::Verify)),
        }
    }
}
