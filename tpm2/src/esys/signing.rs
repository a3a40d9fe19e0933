//! Signatures. TPM 2.0 Library part 3, chapter 20.

use std::ptr;

use tss_esapi::tss2_esys::{
    ESYS_TR_NONE, Esys_Sign, Esys_VerifySignature, TPM2B_DIGEST, TPMT_SIG_SCHEME, TPMT_SIGNATURE,
    TPMT_TK_HASHCHECK,
};

use super::{Esys, Handle, Owned, Result, Sessions, check};

impl Esys {
    /// TPM2_Sign.
    pub fn sign(
        &self,
        key: Handle,
        sessions: Sessions,
        digest: &TPM2B_DIGEST,
        scheme: &TPMT_SIG_SCHEME,
        ticket: &TPMT_TK_HASHCHECK,
    ) -> Result<Owned<TPMT_SIGNATURE>> {
        let [first, second, third] = sessions;
        let mut signature = ptr::null_mut();
        // SAFETY: structures that are read during the call, and a place for a pointer to what ESYS
        // allocates.
        unsafe {
            let code = Esys_Sign(
                self.context(),
                key.0,
                first,
                second,
                third,
                digest,
                scheme,
                ticket,
                &mut signature,
            );
            check("TPM2_Sign", code)?;
            Owned::new("TPM2_Sign", signature)
        }
    }

    /// TPM2_VerifySignature.
    pub fn verify(
        &self,
        key: Handle,
        digest: &TPM2B_DIGEST,
        signature: &TPMT_SIGNATURE,
    ) -> Result<()> {
        let mut ticket = ptr::null_mut();
        let none = ESYS_TR_NONE;
        // SAFETY: structures that are read during the call, and a place for a pointer to what ESYS
        // allocates, which is freed at once.
        let code = unsafe {
            let context = self.context();
            let code = Esys_VerifySignature(
                context,
                key.0,
                none,
                none,
                none,
                digest,
                signature,
                &mut ticket,
            );
            Owned::drop_raw(ticket);
            code
        };
        check("TPM2_VerifySignature", code)
    }
}
