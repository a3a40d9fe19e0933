//! NV indices.

use tss_esapi::constants::tss::TPM2_PT_NV_BUFFER_MAX;

use crate::esys::{Handle, Protection, Result, told};
use crate::grant::Grant;
use crate::tpm::Tpm;

/// TPMA_NV.
const OWNER_READ: u32 = 1 << 17;
const AUTH_READ: u32 = 1 << 18;
const NO_DA: u32 = 1 << 25;
const WRITTEN: u32 = 1 << 29;

/// What is read at once where the TPM tells nonsense: all can do this much.
const LEAST_PART: u16 = 512;

/// ESYS' structure has room for no more.
const MOST_PART: u32 = 2048;

/// The content of `index`, with its own authorisation value or the owner's empty one. Without `auth` no
/// try is spent that counts.
pub fn read(tpm: &Tpm<'_>, index: u32, auth: Option<&[u8]>) -> Result<Vec<u8>> {
    if index >> 24 != 0x01 {
        let text = format!("{index:#010x} is no NV index (0x01......)");
        return Err(told("TPM2_NV_ReadPublic", text));
    }
    let held = tpm.esys.reference(index)?;
    let public = tpm.esys.nv_read_public(held.handle())?.nvPublic;
    let has = |attribute| public.attributes & attribute != 0;
    let by = match auth {
        Some(_) if has(AUTH_READ) => held.handle(),
        None if has(AUTH_READ) && has(NO_DA) => held.handle(),
        _ if has(OWNER_READ) => Handle::OWNER,
        None if has(AUTH_READ) => {
            let text = "wrong authorisation values of this index are counted (no_da is clear): name its value \
                        in the URI, ?pin-source=file:… or ?pin-value= if it has none";
            return Err(told("TPM2_NV_Read", text));
        }
        _ => {
            let text = "neither its own authorisation value nor the owner's reads this index";
            return Err(told("TPM2_NV_Read", text));
        }
    };
    let auth = match by == Handle::OWNER {
        true => &[],
        false => auth.unwrap_or_default(),
    };
    if public.attributes & WRITTEN == 0 {
        return Err(told(
            "TPM2_NV_Read",
            "nothing was written to this index yet",
        ));
    }
    let part = tpm.esys.property(TPM2_PT_NV_BUFFER_MAX).unwrap_or_default();
    let part = match part {
        1..=MOST_PART => part as u16,
        _ => LEAST_PART,
    };
    let mut content = Vec::new();
    while content.len() < public.dataSize.into() {
        let offset = content.len() as u16;
        let size = part.min(public.dataSize - offset);
        let grant = Grant::new(tpm, by, auth, &[], Protection::NONE)?;
        let read = tpm
            .esys
            .nv_read(by, held.handle(), grant.sessions(), size, offset)?;
        if read.len() != usize::from(size) {
            return Err(told("TPM2_NV_Read", "less than was asked for"));
        }
        content.extend(read);
    }
    Ok(content)
}
