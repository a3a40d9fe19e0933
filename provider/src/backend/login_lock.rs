//! A lock between processes: without it several of them would look at the flags of a token, see that
//! there are tries left, and spend them all together.

use std::fs::File;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ossl_shim::process::PerProcess;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::system_text;

/// How long it is waited for. Whoever holds it longer hangs in a module, or means harm: then the flags
/// alone must do.
const PATIENCE: Duration = Duration::from_secs(5);

/// After that it is not waited for in this process for so long.
const RESPITE: Duration = Duration::from_secs(60);

/// How often it is tried.
const LOOK: Duration = Duration::from_millis(2);

/// While one process has this, no other sends a PIN to a card, or an authorisation value to a TPM.
///
/// It is flock(2) on the root directory, which is there anyway and which every user may open: nothing
/// has to be written anywhere, whatever the service's sandbox, and nothing is left behind. All cards
/// and TPMs have it together: they are few, and may be reached in different ways. Other tokens have no
/// lock: their logins are many, and their tries too.
pub struct LoginLock(Option<File>);

const PATH: &str = "/";

/// Since when it could not be had.
static IN_VAIN: PerProcess<Mutex<Option<Instant>>> = PerProcess::new();

impl LoginLock {
    /// `attempted` is what it is wanted for.
    pub fn take(attempted: &str) -> Self {
        let in_vain = IN_VAIN.get(Mutex::default);
        let mut in_vain = in_vain.lock().unwrap_or_else(PoisonError::into_inner);
        let patience = match *in_vain {
            Some(at) if at.elapsed() < RESPITE => Duration::ZERO,
            _ => PATIENCE,
        };
        match locked(patience) {
            Ok(file) => {
                *in_vain = None;
                Self(Some(file))
            }
            Err(error) => {
                log::warn!(
                    "{attempted} without the lock that keeps other processes from it: flock on {PATH}: {} \
                     (/proc/locks shows who has it)",
                    system_text(&error)
                );
                in_vain.get_or_insert_with(Instant::now);
                Self(None)
            }
        }
    }
}

impl Drop for LoginLock {
    fn drop(&mut self) {
        // Not by closing alone: a child that was forked meanwhile has the file, too.
        if let Some(file) = &self.0 {
            let _ = flock(file, FlockOperation::Unlock);
        }
    }
}

fn locked(patience: Duration) -> io::Result<File> {
    let file = File::open(PATH)?;
    let deadline = Instant::now() + patience;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => thread::sleep(LOOK),
            Err(error) => return Err(error.into()),
        }
    }
}
