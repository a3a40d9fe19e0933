//! Random numbers.

use tpm2_abi::{Outcome, Secret};
use zeroize::Zeroizing;

use crate::esys::{Kind, Protection, Result, told};
use crate::tpm::Tpm;

/// More than this is not what a TPM is for.
const MOST: u32 = 1 << 16;

/// What is asked for at once: TPMs give at most the size of their largest digest.
const PART: usize = 32;

pub fn random(tpm: &Tpm<'_>, bytes: u32) -> Result<Outcome> {
    if bytes > MOST {
        return Err(told(
            "TPM2_GetRandom",
            format!("more than {MOST} bytes at once"),
        ));
    }
    let bytes = bytes as usize;
    // In one piece: growing would leave copies behind.
    let mut random = Zeroizing::new(Vec::with_capacity(bytes));
    let session = tpm.session(Kind::Hmac, Protection::ANSWER)?;
    while random.len() < bytes {
        let wanted = PART.min(bytes - random.len());
        let part = tpm.esys.random(session.alone(), wanted as u16)?;
        if part.is_empty() || part.len() > wanted {
            return Err(told(
                "TPM2_GetRandom",
                "not as many bytes as were asked for",
            ));
        }
        random.extend_from_slice(&part);
    }
    Ok(Outcome::Secret(Secret::new(std::mem::take(&mut random))))
}
