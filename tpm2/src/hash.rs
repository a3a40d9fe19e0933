//! Digests with the ticket that restricted keys want: it says that what was hashed does not begin as
//! the TPM's own statements do. TPM 2.0 Library part 1, chapter 23.

use crate::esys::{Hashed, Result};
use crate::tpm::Tpm;

/// What TPM2_Hash and its sequences take at once. A smaller buffer would be a strange TPM.
const PART: usize = 1024;

/// `message`'s digest by `algorithm`, made in the TPM.
pub fn hash(tpm: &Tpm<'_>, message: &[u8], algorithm: u16) -> Result<Hashed> {
    if message.len() <= PART {
        return tpm.esys.hash(message, algorithm);
    }
    let sequence = tpm.esys.sequence_start(algorithm)?;
    let last = (message.len() - 1) / PART * PART;
    for part in message[..last].chunks(PART) {
        tpm.esys.sequence_update(sequence.handle(), part)?;
    }
    tpm.esys.sequence_complete(sequence, &message[last..])
}
