//! Turns between processes: the slots of a TPM without a resource manager are three for everybody, so
//! that two tasks at once can find them full.

use std::fs::File;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ossl_shim::process::PerProcess;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// A directory that is there anyway and that every user may open: nothing has to be written anywhere,
/// whatever a service's sandbox, and nothing is left behind.
const PATH: &str = "/dev";

/// How long it is waited for. Whoever holds it longer makes an RSA key, hangs, or means harm: then the
/// TPM tells whether there is room.
const PATIENCE: Duration = Duration::from_secs(5);

/// After that it is not waited for in this process for so long.
const RESPITE: Duration = Duration::from_secs(60);

/// How often it is tried.
const LOOK: Duration = Duration::from_micros(300);

/// Since when it could not be had.
static IN_VAIN: PerProcess<Mutex<Option<Instant>>> = PerProcess::new();

/// While one process of hwkey has this, no other works with the TPM.
pub struct Turn(Option<File>);

impl Turn {
    pub fn take() -> Self {
        let in_vain = || {
            let mutex = IN_VAIN.get(Mutex::default);
            mutex.lock().unwrap_or_else(PoisonError::into_inner)
        };
        let since = *in_vain();
        let patience = match since {
            Some(at) if at.elapsed() < RESPITE => Duration::ZERO,
            _ => PATIENCE,
        };
        match locked(patience) {
            Ok(file) => {
                if since.is_some() {
                    *in_vain() = None;
                }
                Self(Some(file))
            }
            Err(_) => {
                if patience > Duration::ZERO {
                    *in_vain() = Some(Instant::now());
                }
                Self(None)
            }
        }
    }

    /// Whether it is really ours.
    pub fn is_taken(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Turn {
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
