//! RSA decryption and ECDH. TPM 2.0 Library part 3, chapter 14.

use std::ptr;

use tpm2_abi::Secret;
use tss_esapi::tss2_esys::{
    Esys_ECDH_ZGen, Esys_RSA_Decrypt, TPM2B_DATA, TPM2B_ECC_POINT, TPM2B_PUBLIC_KEY_RSA,
    TPMT_RSA_DECRYPT,
};

use super::buffers::Buffer;
use super::{Esys, Handle, Owned, Result, Sessions, check, parameter};

impl Esys {
    /// TPM2_RSA_Decrypt.
    pub fn rsa_decrypt(
        &self,
        key: Handle,
        sessions: Sessions,
        input: &[u8],
        scheme: &TPMT_RSA_DECRYPT,
        label: &[u8],
    ) -> Result<Secret> {
        let input = TPM2B_PUBLIC_KEY_RSA::from_bytes(input)?;
        let label = TPM2B_DATA::from_bytes(label)?;
        let [first, second, third] = sessions;
        let mut message = ptr::null_mut();
        // SAFETY: structures that are read during the call, and a place for a pointer to what ESYS
        // allocates.
        let mut message = unsafe {
            let code = Esys_RSA_Decrypt(
                self.context(),
                key.0,
                first,
                second,
                third,
                &input,
                scheme,
                &label,
                &mut message,
            );
            check("TPM2_RSA_Decrypt", code)?;
            Owned::new("TPM2_RSA_Decrypt", message)?
        };
        let secret = Secret::copied(message.bytes());
        message.as_mut().clear();
        Ok(secret)
    }

    /// TPM2_ECDH_ZGen; the shared point's x coordinate.
    pub fn ecdh(&self, key: Handle, sessions: Sessions, x: &[u8], y: &[u8]) -> Result<Secret> {
        let mut point = TPM2B_ECC_POINT::default();
        point.point.x = parameter(x)?;
        point.point.y = parameter(y)?;
        let [first, second, third] = sessions;
        let mut shared = ptr::null_mut();
        // SAFETY: a structure that is read during the call, and a place for a pointer to what ESYS
        // allocates.
        let mut shared = unsafe {
            let context = self.context();
            let code = Esys_ECDH_ZGen(context, key.0, first, second, third, &point, &mut shared);
            check("TPM2_ECDH_ZGen", code)?;
            Owned::new("TPM2_ECDH_ZGen", shared)?
        };
        let secret = Secret::copied(shared.point.x.bytes());
        shared.as_mut().point.x.clear();
        shared.as_mut().point.y.clear();
        Ok(secret)
    }
}
