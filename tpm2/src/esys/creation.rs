//! New keys. TPM 2.0 Library part 3, chapters 12, 13 and 24.

use std::ptr;

use tss_esapi::constants::tss::TPM2_ALG_NULL;
use tss_esapi::tss2_esys::{
    ESYS_TR_NONE, Esys_Create, Esys_CreatePrimary, Esys_Import, TPM2B_DATA, TPM2B_ENCRYPTED_SECRET,
    TPM2B_PRIVATE, TPM2B_PUBLIC, TPM2B_SENSITIVE_CREATE, TPML_PCR_SELECTION, TPMT_SYM_DEF_OBJECT,
};

use super::buffers::Buffer;
use super::{Esys, Handle, Held, Owned, Result, Sessions, check, digest};

/// TPM2_Create's answer.
pub struct Creation {
    pub private: Owned<TPM2B_PRIVATE>,
    pub public: Owned<TPM2B_PUBLIC>,
}

impl Esys {
    /// TPM2_CreatePrimary of a key without an authorisation value.
    pub fn create_primary(
        &self,
        hierarchy: Handle,
        sessions: Sessions,
        template: &TPM2B_PUBLIC,
    ) -> Result<Held<'_>> {
        let sensitive = TPM2B_SENSITIVE_CREATE::default();
        let (outside, pcrs) = (TPM2B_DATA::default(), TPML_PCR_SELECTION::default());
        let mut handle = ESYS_TR_NONE;
        let [first, second, third] = sessions;
        let mut public = ptr::null_mut();
        let mut data = ptr::null_mut();
        let mut hash = ptr::null_mut();
        let mut ticket = ptr::null_mut();
        // SAFETY: structures that are read during the call, a place for one number, and for pointers
        // to what ESYS allocates, which is freed at once.
        let code = unsafe {
            let code = Esys_CreatePrimary(
                self.context(),
                hierarchy.0,
                first,
                second,
                third,
                &sensitive,
                template,
                &outside,
                &pcrs,
                &mut handle,
                &mut public,
                &mut data,
                &mut hash,
                &mut ticket,
            );
            Owned::drop_raw(public);
            Owned::drop_raw(data);
            Owned::drop_raw(hash);
            Owned::drop_raw(ticket);
            code
        };
        check("TPM2_CreatePrimary", code)?;
        Ok(Held::in_slot(self, handle))
    }

    /// TPM2_Create.
    pub fn create(
        &self,
        parent: Handle,
        sessions: Sessions,
        template: &TPM2B_PUBLIC,
        auth: &[u8],
    ) -> Result<Creation> {
        let mut sensitive = TPM2B_SENSITIVE_CREATE::default();
        sensitive.sensitive.userAuth = digest(auth)?;
        let created = self.create_with(parent, sessions, template, &sensitive);
        sensitive.sensitive.userAuth.clear();
        created
    }

    fn create_with(
        &self,
        parent: Handle,
        sessions: Sessions,
        template: &TPM2B_PUBLIC,
        sensitive: &TPM2B_SENSITIVE_CREATE,
    ) -> Result<Creation> {
        let (outside, pcrs) = (TPM2B_DATA::default(), TPML_PCR_SELECTION::default());
        let [first, second, third] = sessions;
        let mut private = ptr::null_mut();
        let mut public = ptr::null_mut();
        let mut data = ptr::null_mut();
        let mut hash = ptr::null_mut();
        let mut ticket = ptr::null_mut();
        // SAFETY: structures that are read during the call, and places for pointers to what ESYS
        // allocates; what is not needed is freed at once.
        unsafe {
            let code = Esys_Create(
                self.context(),
                parent.0,
                first,
                second,
                third,
                sensitive,
                template,
                &outside,
                &pcrs,
                &mut private,
                &mut public,
                &mut data,
                &mut hash,
                &mut ticket,
            );
            Owned::drop_raw(data);
            Owned::drop_raw(hash);
            Owned::drop_raw(ticket);
            check("TPM2_Create", code)?;
            let private = Owned::new("TPM2_Create", private);
            let public = Owned::new("TPM2_Create", public);
            Ok(Creation {
                private: private?,
                public: public?,
            })
        }
    }

    /// TPM2_Import of a key that was wrapped for `parent` elsewhere, without an inner wrapper.
    pub fn import(
        &self,
        parent: Handle,
        sessions: Sessions,
        public: &TPM2B_PUBLIC,
        duplicate: &TPM2B_PRIVATE,
        seed: &TPM2B_ENCRYPTED_SECRET,
    ) -> Result<Owned<TPM2B_PRIVATE>> {
        let key = TPM2B_DATA::default();
        let symmetric = TPMT_SYM_DEF_OBJECT {
            algorithm: TPM2_ALG_NULL,
            ..Default::default()
        };
        let [first, second, third] = sessions;
        let mut private = ptr::null_mut();
        // SAFETY: structures that are read during the call, and a place for a pointer to what ESYS
        // allocates.
        unsafe {
            let code = Esys_Import(
                self.context(),
                parent.0,
                first,
                second,
                third,
                &key,
                public,
                duplicate,
                seed,
                &symmetric,
                &mut private,
            );
            check("TPM2_Import", code)?;
            Owned::new("TPM2_Import", private)
        }
    }
}
