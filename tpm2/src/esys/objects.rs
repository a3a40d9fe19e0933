//! Objects: loading, saving, flushing, public areas. TPM 2.0 Library part 3, chapters 12 and 28.

use std::ptr;

use tpm2_abi::{Hierarchy, Saved};
use tss_esapi::tss2_esys::{
    ESYS_TR, ESYS_TR_NONE, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_RH_NULL, ESYS_TR_RH_OWNER,
    ESYS_TR_RH_PLATFORM, Esys_ContextLoad, Esys_ContextSave, Esys_FlushContext, Esys_Load,
    Esys_ReadPublic, Esys_TR_Close, Esys_TR_FromTPMPublic, Esys_TR_GetName, TPM2B_CONTEXT_DATA,
    TPM2B_PRIVATE, TPM2B_PUBLIC, TPMS_CONTEXT,
};

use super::{Esys, Owned, Result, Sessions, check, told};

/// ESYS' number for something in the TPM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handle(pub(super) ESYS_TR);

impl Handle {
    pub const OWNER: Self = Self(ESYS_TR_RH_OWNER);
}

impl From<Hierarchy> for Handle {
    fn from(hierarchy: Hierarchy) -> Self {
        Self(match hierarchy {
            Hierarchy::Owner => ESYS_TR_RH_OWNER,
            Hierarchy::Endorsement => ESYS_TR_RH_ENDORSEMENT,
            Hierarchy::Platform => ESYS_TR_RH_PLATFORM,
            Hierarchy::Null => ESYS_TR_RH_NULL,
        })
    }
}

/// Something that is not to stay when this goes: an object or session in one of the few slots of the
/// TPM, or ESYS' memory of what is in the TPM for good.
pub struct Held<'e> {
    esys: &'e Esys,
    handle: Handle,
    in_slot: bool,
}

impl<'e> Held<'e> {
    pub(super) fn in_slot(esys: &'e Esys, handle: ESYS_TR) -> Self {
        Self {
            esys,
            handle: Handle(handle),
            in_slot: true,
        }
    }

    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// The handle, which whoever has it lets go of.
    pub fn into_handle(self) -> Handle {
        let handle = self.handle;
        std::mem::forget(self);
        handle
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // What can't be flushed is gone already, or so is the connection.
        if !self.in_slot || self.esys.flush(self.handle).is_err() {
            self.esys.forget(self.handle);
        }
    }
}

impl Esys {
    /// TPM2_Load.
    pub fn load(
        &self,
        parent: Handle,
        sessions: Sessions,
        private: &TPM2B_PRIVATE,
        public: &TPM2B_PUBLIC,
    ) -> Result<Held<'_>> {
        let mut handle = ESYS_TR_NONE;
        let [first, second, third] = sessions;
        // SAFETY: structures that are read during the call, and a place for one number.
        check("TPM2_Load", unsafe {
            let (context, parent) = (self.context(), parent.0);
            Esys_Load(
                context,
                parent,
                first,
                second,
                third,
                private,
                public,
                &mut handle,
            )
        })?;
        Ok(Held::in_slot(self, handle))
    }

    /// TPM2_ContextLoad.
    pub fn context_load(&self, saved: &Saved) -> Result<Held<'_>> {
        let mut blob = TPM2B_CONTEXT_DATA::default();
        let room = blob.buffer.get_mut(..saved.blob.len());
        room.ok_or_else(|| told("TPM2_ContextLoad", "the saved context is too long"))?
            .copy_from_slice(&saved.blob);
        blob.size = saved.blob.len() as u16;
        let saved = TPMS_CONTEXT {
            sequence: saved.sequence,
            savedHandle: saved.handle,
            hierarchy: saved.hierarchy,
            contextBlob: blob,
        };
        let mut handle = ESYS_TR_NONE;
        // SAFETY: a structure that is read during the call, and a place for one number.
        check("TPM2_ContextLoad", unsafe {
            Esys_ContextLoad(self.context(), &saved, &mut handle)
        })?;
        Ok(Held::in_slot(self, handle))
    }

    /// TPM2_ContextSave; the object stays loaded.
    pub fn context_save(&self, object: Handle) -> Result<Saved> {
        let mut saved = ptr::null_mut();
        // SAFETY: a place for one pointer, to what ESYS allocates.
        let saved = unsafe {
            let code = Esys_ContextSave(self.context(), object.0, &mut saved);
            check("TPM2_ContextSave", code)?;
            Owned::new("TPM2_ContextSave", saved)?
        };
        let blob = &saved.contextBlob;
        Ok(Saved {
            sequence: saved.sequence,
            handle: saved.savedHandle,
            hierarchy: saved.hierarchy,
            blob: blob.buffer[..blob.buffer.len().min(blob.size.into())].to_vec(),
        })
    }

    /// TPM2_FlushContext.
    pub fn flush(&self, object: Handle) -> Result<()> {
        // SAFETY: numbers only.
        check("TPM2_FlushContext", unsafe {
            Esys_FlushContext(self.context(), object.0)
        })
    }

    /// Frees ESYS' memory of something that stays in the TPM.
    pub fn forget(&self, object: Handle) {
        // SAFETY: a number in a place of ours.
        unsafe { Esys_TR_Close(self.context(), &mut object.0.clone()) };
    }

    /// Something that is in the TPM, by the TPM's number (TPM2_ReadPublic or TPM2_NV_ReadPublic).
    pub fn reference(&self, number: u32) -> Result<Held<'_>> {
        let mut handle = ESYS_TR_NONE;
        let none = ESYS_TR_NONE;
        // SAFETY: a place for one number.
        check(reading(number), unsafe {
            Esys_TR_FromTPMPublic(self.context(), number, none, none, none, &mut handle)
        })?;
        Ok(Held {
            esys: self,
            handle: Handle(handle),
            in_slot: false,
        })
    }

    /// TPM2_ReadPublic.
    pub fn read_public(&self, object: Handle) -> Result<Owned<TPM2B_PUBLIC>> {
        let name = "TPM2_ReadPublic";
        let mut public = ptr::null_mut();
        let none = ESYS_TR_NONE;
        // SAFETY: a place for a pointer to what ESYS allocates; it leaves out what has none.
        unsafe {
            let (context, no) = (self.context(), ptr::null_mut());
            let no_name = ptr::null_mut();
            check(
                name,
                Esys_ReadPublic(
                    context,
                    object.0,
                    none,
                    none,
                    none,
                    &mut public,
                    no,
                    no_name,
                ),
            )?;
            Owned::new(name, public)
        }
    }

    /// An object's Name, from ESYS' memory.
    pub fn name(&self, object: Handle) -> Result<Vec<u8>> {
        let mut name = ptr::null_mut();
        // SAFETY: a place for a pointer to what ESYS allocates.
        let name = unsafe {
            check(
                "Esys_TR_GetName",
                Esys_TR_GetName(self.context(), object.0, &mut name),
            )?;
            Owned::new("Esys_TR_GetName", name)?
        };
        Ok(name.name[..name.name.len().min(name.size.into())].to_vec())
    }
}

fn reading(number: u32) -> &'static str {
    match number >> 24 {
        0x01 => "TPM2_NV_ReadPublic",
        _ => "TPM2_ReadPublic",
    }
}
