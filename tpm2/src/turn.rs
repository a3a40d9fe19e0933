//! Turns between processes: the slots of a TPM without a resource manager are three for everybody, so
//! that two tasks at once can find them full.

use std::time::Duration;

use ossl_shim::process::ByteLock;

/// How long it is waited for. Whoever holds it longer makes an RSA key, hangs, or means harm: then the
/// TPM tells whether there is room.
const PATIENCE: Duration = Duration::from_secs(5);

/// While one process of hwkey has this, no other works with the TPM of this TCTI.
pub struct Turn(Option<ByteLock>);

impl Turn {
    pub fn take(tcti: &str) -> Self {
        Self(ByteLock::take(&format!("hwkey: slots of {tcti}"), PATIENCE).ok())
    }

    /// Whether it is really ours.
    pub fn is_taken(&self) -> bool {
        self.0.is_some()
    }
}
