//! A lock between processes: without it several of them would look at the state of a token, see that
//! there are tries left, and spend them all together.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ossl_shim::process::{ByteLock, PerProcess};

use crate::error::system_text;

/// How long it is waited for. Whoever holds it longer hangs in a module, or means harm: then the state
/// alone must do.
const PATIENCE: Duration = Duration::from_secs(5);

/// After that it is not waited for in this process for so long.
const RESPITE: Duration = Duration::from_secs(60);

/// While one process has this, no other sends a PIN to a card, or an authorisation value to the same TPM.
///
/// All cards have it together: they are few, and may be reached through different modules. Other tokens
/// have no lock: their logins are many, and their tries too.
pub struct LoginLock(#[expect(dead_code, reason = "held until drop")] Option<ByteLock>);

/// Which ones could not be had, and since when.
static IN_VAIN: PerProcess<Mutex<Vec<(String, Instant)>>> = PerProcess::new();

impl LoginLock {
    /// The lock of `whose`; `attempted` is what it is wanted for.
    pub fn take(whose: &str, attempted: &str) -> Self {
        let in_vain = IN_VAIN.get(Mutex::default);
        let mut in_vain = in_vain.lock().unwrap_or_else(PoisonError::into_inner);
        in_vain.retain(|(_, at)| at.elapsed() < RESPITE);
        let patience = match in_vain.iter().any(|(name, _)| name == whose) {
            true => Duration::ZERO,
            false => PATIENCE,
        };
        match ByteLock::take(&format!("hwkey: tries of {whose}"), patience) {
            Ok(lock) => Self(Some(lock)),
            Err(error) => {
                log::warn!(
                    "{attempted} without the lock that keeps other processes from it: {} (/proc/locks \
                     shows who has it)",
                    system_text(&error)
                );
                if !patience.is_zero() {
                    in_vain.push((whose.to_owned(), Instant::now()));
                }
                Self(None)
            }
        }
    }
}
