//! What a TPM has and can do, and its random numbers. TPM 2.0 Library part 3, chapters 16 and 30.

use std::ptr;

use tpm2_abi::Secret;
use tss_esapi::constants::tss::{
    TPM2_CAP_ALGS, TPM2_CAP_HANDLES, TPM2_CAP_TPM_PROPERTIES, TPM2_HT_HMAC_SESSION,
    TPM2_HT_POLICY_SESSION,
};
use tss_esapi::tss2_esys::{
    ESYS_TR_NONE, Esys_GetCapability, Esys_GetRandom, TPM2_CAP, TPMS_ALG_PROPERTY,
    TPMS_CAPABILITY_DATA,
};

use super::buffers::Buffer;
use super::{Esys, Owned, Result, Sessions, check, told};

/// More parts of a list than this are not asked for.
const MOST_PARTS: usize = 64;

impl Esys {
    /// The handles from `first` on that are of the same type; policy sessions are listed among the
    /// others.
    pub fn handles(&self, first: u32) -> Result<Vec<u32>> {
        let mut all: Vec<u32> = Vec::new();
        let mut next = first;
        let kind = |handle: u32| match handle.to_be_bytes()[0] {
            TPM2_HT_POLICY_SESSION => TPM2_HT_HMAC_SESSION,
            kind => kind,
        };
        for _ in 0..MOST_PARTS {
            let (data, more) = self.capability(TPM2_CAP_HANDLES, next, 254)?;
            // SAFETY: this is the member for the capability that `data` has, and any numbers are valid.
            let list = unsafe { &data.data.handles };
            let part = &list.handle[..list.handle.len().min(list.count as usize)];
            all.extend(part.iter().filter(|handle| kind(**handle) == kind(first)));
            match part.last() {
                Some(last) if more && *last >= next => next = last.saturating_add(1),
                _ => break,
            }
        }
        Ok(all)
    }

    /// Properties, TPM_PT, with their values: at most `count` from `first` on.
    pub fn properties(&self, first: u32, count: u32) -> Result<Vec<(u32, u32)>> {
        let (data, _) = self.capability(TPM2_CAP_TPM_PROPERTIES, first, count)?;
        // SAFETY: as above.
        let list = unsafe { &data.data.tpmProperties };
        let part = &list.tpmProperty[..list.tpmProperty.len().min(list.count as usize)];
        Ok(part.iter().map(|it| (it.property, it.value)).collect())
    }

    /// The value of one property.
    pub fn property(&self, property: u32) -> Result<u32> {
        let values = self.properties(property, 1)?;
        match values.first() {
            Some((it, value)) if *it == property => Ok(*value),
            _ => Err(told(
                "TPM2_GetCapability",
                format!("no property {property:#x}"),
            )),
        }
    }

    /// The algorithms, with their attributes (TPMA_ALGORITHM).
    pub fn algorithms(&self) -> Result<Vec<TPMS_ALG_PROPERTY>> {
        let (data, _) = self.capability(TPM2_CAP_ALGS, 0, 127)?;
        // SAFETY: as above.
        let list = unsafe { &data.data.algorithms };
        Ok(list.algProperties[..list.algProperties.len().min(list.count as usize)].to_vec())
    }

    /// TPM2_GetCapability, and whether there is more.
    fn capability(
        &self,
        capability: TPM2_CAP,
        first: u32,
        count: u32,
    ) -> Result<(Owned<TPMS_CAPABILITY_DATA>, bool)> {
        let name = "TPM2_GetCapability";
        let none = ESYS_TR_NONE;
        let mut more = 0;
        let mut data = ptr::null_mut();
        // SAFETY: places for a number and for a pointer to what ESYS allocates.
        let data = unsafe {
            let code = Esys_GetCapability(
                self.context(),
                none,
                none,
                none,
                capability,
                first,
                count,
                &mut more,
                &mut data,
            );
            check(name, code)?;
            Owned::new(name, data)?
        };
        match data.capability == capability {
            true => Ok((data, more != 0)),
            false => Err(told(name, "the answer to another question")),
        }
    }

    /// TPM2_GetRandom: what the TPM gives at once, at most `count`.
    pub fn random(&self, sessions: Sessions, count: u16) -> Result<Secret> {
        let [first, second, third] = sessions;
        let mut random = ptr::null_mut();
        // SAFETY: a place for a pointer to what ESYS allocates.
        let mut random = unsafe {
            let context = self.context();
            let code = Esys_GetRandom(context, first, second, third, count, &mut random);
            check("TPM2_GetRandom", code)?;
            Owned::new("TPM2_GetRandom", random)?
        };
        let secret = Secret::copied(random.bytes());
        random.as_mut().clear();
        Ok(secret)
    }
}
