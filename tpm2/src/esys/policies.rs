//! The commands of a policy. TPM 2.0 Library part 3, chapter 23.

use std::ptr;

use tss_esapi::tss2_esys::{
    ESYS_TR_NONE, Esys_PolicyAuthValue, Esys_PolicyCommandCode, Esys_PolicyLocality, Esys_PolicyOR,
    Esys_PolicyPCR, Esys_PolicySecret, TPM2B_DIGEST, TPML_DIGEST, TPML_PCR_SELECTION,
    Tss2_MU_TPML_DIGEST_Unmarshal, Tss2_MU_TPML_PCR_SELECTION_Unmarshal,
};

use super::{Esys, Handle, Owned, Result, Sessions, check};

const NO: u32 = ESYS_TR_NONE;

impl Esys {
    /// TPM2_PolicyAuthValue.
    pub fn policy_auth_value(&self, session: Handle) -> Result<()> {
        // SAFETY: numbers only.
        check("TPM2_PolicyAuthValue", unsafe {
            Esys_PolicyAuthValue(self.context(), session.0, NO, NO, NO)
        })
    }

    /// TPM2_PolicyCommandCode.
    pub fn policy_command_code(&self, session: Handle, code: u32) -> Result<()> {
        // SAFETY: numbers only.
        check("TPM2_PolicyCommandCode", unsafe {
            Esys_PolicyCommandCode(self.context(), session.0, NO, NO, NO, code)
        })
    }

    /// TPM2_PolicyLocality.
    pub fn policy_locality(&self, session: Handle, locality: u8) -> Result<()> {
        // SAFETY: numbers only.
        check("TPM2_PolicyLocality", unsafe {
            Esys_PolicyLocality(self.context(), session.0, NO, NO, NO, locality)
        })
    }

    /// TPM2_PolicyPCR. An empty digest takes the registers as they are.
    pub fn policy_pcr(
        &self,
        session: Handle,
        digest: &TPM2B_DIGEST,
        pcrs: &TPML_PCR_SELECTION,
    ) -> Result<()> {
        // SAFETY: structures that are read during the call.
        check("TPM2_PolicyPCR", unsafe {
            Esys_PolicyPCR(self.context(), session.0, NO, NO, NO, digest, pcrs)
        })
    }

    /// TPM2_PolicyOR.
    pub fn policy_or(&self, session: Handle, branches: &TPML_DIGEST) -> Result<()> {
        // SAFETY: a structure that is read during the call.
        check("TPM2_PolicyOR", unsafe {
            Esys_PolicyOR(self.context(), session.0, NO, NO, NO, branches)
        })
    }

    /// TPM2_PolicySecret with the authorisation of `object`.
    pub fn policy_secret(
        &self,
        object: Handle,
        session: Handle,
        sessions: Sessions,
        reference: &TPM2B_DIGEST,
    ) -> Result<()> {
        let none = TPM2B_DIGEST::default();
        let [first, second, third] = sessions;
        let (mut timeout, mut ticket) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: structures that are read during the call, and places for pointers to what ESYS
        // allocates, which is freed at once.
        let code = unsafe {
            let code = Esys_PolicySecret(
                self.context(),
                object.0,
                session.0,
                first,
                second,
                third,
                &none,
                &none,
                reference,
                0,
                &mut timeout,
                &mut ticket,
            );
            Owned::drop_raw(timeout);
            Owned::drop_raw(ticket);
            code
        };
        check("TPM2_PolicySecret", code)
    }
}

/// TPML_PCR_SELECTION.
pub fn read_pcr_selection(bytes: &[u8]) -> Result<TPML_PCR_SELECTION> {
    let mut pcrs = TPML_PCR_SELECTION::default();
    // SAFETY: the buffer has the given size; the function fills in the structure.
    let code = unsafe {
        let size = bytes.len() as _;
        Tss2_MU_TPML_PCR_SELECTION_Unmarshal(bytes.as_ptr(), size, &mut 0, &mut pcrs)
    };
    check("Tss2_MU_TPML_PCR_SELECTION_Unmarshal", code)?;
    Ok(pcrs)
}

/// TPML_DIGEST.
pub fn read_digests(bytes: &[u8]) -> Result<TPML_DIGEST> {
    let mut digests = TPML_DIGEST::default();
    // SAFETY: the buffer has the given size; the function fills in the structure.
    let code = unsafe {
        let size = bytes.len() as _;
        Tss2_MU_TPML_DIGEST_Unmarshal(bytes.as_ptr(), size, &mut 0, &mut digests)
    };
    check("Tss2_MU_TPML_DIGEST_Unmarshal", code)?;
    Ok(digests)
}
