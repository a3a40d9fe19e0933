//! What is in the TPM for good.

use tpm2_abi::{Listed, PublicKey};
use tss_esapi::constants::tss::{TPM2_NV_INDEX_FIRST, TPM2_PERSISTENT_FIRST};

use super::nv;
use crate::codes::tpm_code;
use crate::esys::Result;
use crate::tpm::Tpm;

/// The persistent keys, and the NV indices that hold a certificate. What can't be read is left out.
pub fn list(tpm: &Tpm<'_>) -> Result<Vec<Listed>> {
    let mut listing = Vec::new();
    for handle in tpm.esys.handles(TPM2_PERSISTENT_FIRST)? {
        listing.extend(readable(key(tpm, handle))?.flatten());
    }
    for index in tpm.esys.handles(TPM2_NV_INDEX_FIRST)? {
        let der = readable(nv::read(tpm, index, None))?;
        if let Some(der) = der.and_then(certificate) {
            listing.push(Listed::Certificate { index, der });
        }
    }
    Ok(listing)
}

fn key(tpm: &Tpm<'_>, handle: u32) -> Result<Option<Listed>> {
    let object = tpm.reference(handle)?;
    let area = tpm.area_of(object.handle())?;
    Ok(match area.key {
        PublicKey::Rsa { .. } | PublicKey::Ecc { .. } => Some(Listed::Key { handle, area }),
        PublicKey::Other(_) => None,
    })
}

/// What this object refuses says nothing of the others; a lost connection, or a TPM that is busy, does.
fn readable<T>(result: Result<T>) -> Result<Option<T>> {
    use crate::codes::{Remedy, remedy};
    match result {
        Ok(read) => Ok(Some(read)),
        Err(failure) => match remedy(&failure) {
            Remedy::None => Ok(None),
            Remedy::Forget if tpm_code(&failure).is_some() => Ok(None),
            _ => Err(failure),
        },
    }
}

/// A certificate at the beginning of `content`: an index may be larger than what is in it.
fn certificate(mut content: Vec<u8>) -> Option<Vec<u8>> {
    // SEQUENCE with a length of two bytes: what is shorter is no certificate, what is longer does not
    // fit into an index.
    let [0x30, 0x82, high, low, 0x30, ..] = content[..] else {
        return None;
    };
    let size = 4 + usize::from(u16::from_be_bytes([high, low]));
    if size > content.len() {
        return None;
    }
    content.truncate(size);
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_cut_to_its_size_and_other_content_is_left_out() {
        let mut content = vec![0x30, 0x82, 1, 0, 0x30];
        content.resize(300, 0);
        assert_eq!(certificate(content.clone()).unwrap().len(), 260);
        content.truncate(200);
        assert_eq!(certificate(content), None);
        assert_eq!(certificate(Vec::new()), None);
        assert_eq!(certificate(vec![0xff; 64]), None);
    }
}
