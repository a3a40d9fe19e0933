//! Random numbers.
//!
//! The TPM's go over the bus as they are: what hides them there, a session, is made of random numbers,
//! which these may become (OpenSSL's seed). So the kernel's are mixed in, which nobody hears.

use tpm2_abi::{Outcome, Secret};
use zeroize::Zeroizing;

use crate::esys::{NO_SESSIONS, Result, told};
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
    while random.len() < bytes {
        let wanted = PART.min(bytes - random.len());
        let part = tpm.esys.random(NO_SESSIONS, wanted as u16)?;
        if part.is_empty() || part.len() > wanted {
            return Err(told(
                "TPM2_GetRandom",
                "not as many bytes as were asked for",
            ));
        }
        random.extend_from_slice(&part);
    }
    mix_in_the_kernels(&mut random)?;
    Ok(Outcome::Secret(Secret::new(std::mem::take(&mut random))))
}

fn mix_in_the_kernels(random: &mut [u8]) -> Result<()> {
    let mut kernels = Zeroizing::new(vec![0; random.len()]);
    getrandom::fill(&mut kernels)
        .map_err(|error| told("getrandom", format!("no random numbers: {error}")))?;
    for (byte, mask) in random.iter_mut().zip(kernels.iter()) {
        *byte ^= mask;
    }
    Ok(())
}
