//! A lock between processes: without it several of them would look at the state of a token, see that
//! there are tries left, and spend them all together.

use std::time::Duration;

use ossl_shim::process::ByteLock;

use crate::error::system_text;

/// How long it is waited for. Whoever holds it longer hangs in a module, or means harm: then the state
/// alone must do.
const PATIENCE: Duration = Duration::from_secs(5);

/// While one process has this, no other sends a PIN to a card, or an authorisation value to the same TPM.
///
/// All cards have it together: they are few, and may be reached through different modules. Other tokens
/// have no lock: their logins are many, and their tries too.
pub struct LoginLock(#[expect(dead_code, reason = "held until drop")] Option<ByteLock>);

impl LoginLock {
    /// The lock of `whose`; `attempted` is what it is wanted for.
    pub fn take(whose: &str, attempted: &str) -> Self {
        let lock = ByteLock::take(&format!("hwkey: tries of {whose}"), PATIENCE);
        let lock = lock.inspect_err(|error| {
            log::warn!(
                "{attempted} without the lock that keeps other processes from it: {} (/proc/locks shows \
                 who has it)",
                system_text(error)
            );
        });
        Self(lock.ok())
    }
}
