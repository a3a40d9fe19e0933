//! NV indices. TPM 2.0 Library part 3, chapter 31.

use std::ptr;

use tss_esapi::tss2_esys::{ESYS_TR_NONE, Esys_NV_Read, Esys_NV_ReadPublic, TPM2B_NV_PUBLIC};

use super::{Esys, Handle, Owned, Result, Sessions, check};

impl Esys {
    /// TPM2_NV_ReadPublic.
    pub fn nv_read_public(&self, index: Handle) -> Result<Owned<TPM2B_NV_PUBLIC>> {
        let name = "TPM2_NV_ReadPublic";
        let mut public = ptr::null_mut();
        let none = ESYS_TR_NONE;
        // SAFETY: a place for a pointer to what ESYS allocates; it leaves out what has none.
        unsafe {
            let (context, no_name) = (self.context(), ptr::null_mut());
            check(
                name,
                Esys_NV_ReadPublic(context, index.0, none, none, none, &mut public, no_name),
            )?;
            Owned::new(name, public)
        }
    }

    /// TPM2_NV_Read, authorised by `by`.
    pub fn nv_read(
        &self,
        by: Handle,
        index: Handle,
        sessions: Sessions,
        size: u16,
        offset: u16,
    ) -> Result<Vec<u8>> {
        let [first, second, third] = sessions;
        let mut data = ptr::null_mut();
        // SAFETY: a place for a pointer to what ESYS allocates.
        let data = unsafe {
            let code = Esys_NV_Read(
                self.context(),
                by.0,
                index.0,
                first,
                second,
                third,
                size,
                offset,
                &mut data,
            );
            check("TPM2_NV_Read", code)?;
            Owned::new("TPM2_NV_Read", data)?
        };
        Ok(data.buffer[..data.buffer.len().min(data.size.into())].to_vec())
    }
}
