//! ECDH.

use tpm2_abi::{Object, Outcome, Secret};

use crate::area::{padded, size};
use crate::esys::{Protection, Result};
use crate::tpm::Tpm;

pub fn derive(tpm: &Tpm<'_>, object: &Object, x: &[u8], y: &[u8]) -> Result<Outcome> {
    let key = tpm.key(object)?;
    let grant = key.grant(tpm, Protection::ANSWER)?;
    let shared = tpm.esys.ecdh(key.handle, grant.sessions(), x, y)?;
    Ok(Outcome::Secret(Secret::new(padded(
        &shared,
        size(&key.area),
    ))))
}
