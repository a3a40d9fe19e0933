//! Random numbers from hardware. Nothing takes them by itself: the name is private, for `[random]` in
//! openssl.cnf and for EVP_RAND_fetch.

use ossl_shim::Rand;

use crate::error::{Error, Reason, Result};
use crate::provider::HwKey;

/// The TPM's random numbers (TPM2_GetRandom).
pub struct TpmRandom;

impl Rand<HwKey> for TpmRandom {
    // The most that anybody asks for; a TPM's generator is one of SP 800-90A (TCG, Part 1 §11.4.10).
    const STRENGTH: u32 = 256;

    // A TPM gives a digest's size at a time: longer ones would be many commands without a break.
    const MAX_REQUEST: usize = 4096;

    fn generate(provider: &HwKey, bytes: &mut [u8]) -> Result<()> {
        let drawn = provider.random(bytes);
        drawn.map_err(|error| error.stopping("drawing random numbers"))
    }

    /// libtss2 makes the keys of its sessions with OpenSSL. The kernel's numbers are good for that.
    fn generate_below(bytes: &mut [u8]) -> Result<()> {
        getrandom::fill(bytes)
            .map_err(|error| Error::new(Reason::Internal, format!("random numbers: {error}")))
    }
}
