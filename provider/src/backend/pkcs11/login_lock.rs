//! A lock between processes: without it several of them would look at the flags of a token, see that
//! there are tries left, and spend them all together.

use std::fs::File;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::token::Token;
use crate::error::system_text;

/// How long it is waited for. Whoever holds it longer hangs in a module, or means harm: then the flags
/// alone must do.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is tried.
const LOOK: Duration = Duration::from_millis(2);

/// While one process has this, no other sends a PIN to the token.
///
/// It is flock(2) on a file that is there anyway and that every user may open: nothing has to be written
/// anywhere, whatever the service's sandbox, and nothing is left behind. Cards, which are few and may be
/// reached through different modules, have one lock together, on the root directory; the other tokens
/// of a module have theirs on the module's file.
pub struct LoginLock(Option<File>);

impl LoginLock {
    pub fn take(token: &Token) -> Self {
        let path = match token.is_removable() {
            true => Path::new("/"),
            false => token.module.path(),
        };
        match locked(path) {
            Ok(file) => Self(Some(file)),
            Err(error) => {
                log::warn!(
                    "logging in to {} without the lock that keeps other processes from it (flock on {}: \
                     {})",
                    token.identity,
                    path.display(),
                    system_text(&error)
                );
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

fn locked(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => thread::sleep(LOOK),
            Err(error) => return Err(error.into()),
        }
    }
}
