//! Turns between processes: the slots of a TPM without a resource manager are three for everybody, so
//! that two tasks at once can find them full.

use std::time::{Duration, Instant};

use ossl_shim::process::ByteLock;

/// How long it is waited for. Whoever holds it longer makes an RSA key, hangs, or means harm: then the
/// TPM tells whether there is room.
const PATIENCE: Duration = Duration::from_secs(5);

/// After that it is not waited for in this process for so long.
const RESPITE: Duration = Duration::from_secs(60);

/// While one process of hwkey has this, no other works with the TPM of this TCTI.
pub struct Turn(Option<ByteLock>);

impl Turn {
    /// `in_vain` is kept for this: since when it could not be had.
    pub fn take(tcti: &str, in_vain: &mut Option<Instant>) -> Self {
        let patience = match in_vain {
            Some(since) if since.elapsed() < RESPITE => Duration::ZERO,
            _ => PATIENCE,
        };
        let taken = ByteLock::take(&format!("hwkey: slots of {tcti}"), patience).ok();
        match taken {
            Some(_) => *in_vain = None,
            None if patience > Duration::ZERO => *in_vain = Some(Instant::now()),
            None => {}
        }
        Self(taken)
    }

    /// Whether it is really ours.
    pub fn is_taken(&self) -> bool {
        self.0.is_some()
    }
}
