//! Digests that the TPM makes. TPM 2.0 Library part 3, chapters 15 and 17.

use std::ptr;

use tss_esapi::tss2_esys::{
    ESYS_TR_NONE, Esys_Hash, Esys_HashSequenceStart, Esys_SequenceComplete, Esys_SequenceUpdate,
    TPM2B_AUTH, TPM2B_DIGEST, TPM2B_MAX_BUFFER, TPMT_TK_HASHCHECK,
};

use super::buffers::Buffer;
use super::{Esys, Handle, Held, Owned, PASSWORD, Result, check};

/// A digest, and the ticket that says that the TPM has made it of something harmless.
pub struct Hashed {
    pub digest: Owned<TPM2B_DIGEST>,
    pub ticket: Owned<TPMT_TK_HASHCHECK>,
}

impl Hashed {
    /// # Safety
    /// As of [`Owned::new`].
    unsafe fn new(
        function: &str,
        digest: *mut TPM2B_DIGEST,
        ticket: *mut TPMT_TK_HASHCHECK,
    ) -> Result<Self> {
        // SAFETY: the caller's promise.
        let (digest, ticket) =
            unsafe { (Owned::new(function, digest), Owned::new(function, ticket)) };
        Ok(Self {
            digest: digest?,
            ticket: ticket?,
        })
    }
}

impl Esys {
    /// TPM2_Hash.
    pub fn hash(&self, data: &[u8], algorithm: u16) -> Result<Hashed> {
        let data = TPM2B_MAX_BUFFER::from_bytes(data)?;
        let (mut digest, mut ticket) = (ptr::null_mut(), ptr::null_mut());
        let none = ESYS_TR_NONE;
        // SAFETY: a structure that is read during the call, and places for pointers to what ESYS
        // allocates.
        unsafe {
            let code = Esys_Hash(
                self.context(),
                none,
                none,
                none,
                &data,
                algorithm,
                Handle::OWNER.0,
                &mut digest,
                &mut ticket,
            );
            check("TPM2_Hash", code)?;
            Hashed::new("TPM2_Hash", digest, ticket)
        }
    }

    /// TPM2_HashSequenceStart.
    pub fn sequence_start(&self, algorithm: u16) -> Result<Held<'_>> {
        let auth = TPM2B_AUTH::default();
        let none = ESYS_TR_NONE;
        let mut handle = none;
        // SAFETY: a structure that is read during the call, and a place for one number.
        check("TPM2_HashSequenceStart", unsafe {
            let context = self.context();
            Esys_HashSequenceStart(context, none, none, none, &auth, algorithm, &mut handle)
        })?;
        Ok(Held::in_slot(self, handle))
    }

    /// TPM2_SequenceUpdate.
    pub fn sequence_update(&self, sequence: Handle, data: &[u8]) -> Result<()> {
        let data = TPM2B_MAX_BUFFER::from_bytes(data)?;
        let [first, second, third] = PASSWORD;
        // SAFETY: a structure that is read during the call.
        check("TPM2_SequenceUpdate", unsafe {
            Esys_SequenceUpdate(self.context(), sequence.0, first, second, third, &data)
        })
    }

    /// TPM2_SequenceComplete, which flushes the sequence.
    pub fn sequence_complete(&self, sequence: Held<'_>, data: &[u8]) -> Result<Hashed> {
        let name = "TPM2_SequenceComplete";
        let data = TPM2B_MAX_BUFFER::from_bytes(data)?;
        let (mut digest, mut ticket) = (ptr::null_mut(), ptr::null_mut());
        let [first, second, third] = PASSWORD;
        // SAFETY: a structure that is read during the call, and places for pointers to what ESYS
        // allocates.
        let hashed = unsafe {
            let code = Esys_SequenceComplete(
                self.context(),
                sequence.handle().0,
                first,
                second,
                third,
                &data,
                Handle::OWNER.0,
                &mut digest,
                &mut ticket,
            );
            check(name, code)?;
            Hashed::new(name, digest, ticket)
        };
        // ESYS has closed it.
        sequence.into_handle();
        hashed
    }
}
