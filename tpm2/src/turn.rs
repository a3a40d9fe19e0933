//! Turns between processes: the slots of a TPM without a resource manager are three for everybody, so
//! that two tasks at once can find them full.

use std::fs::File;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// A directory that is there anyway and that every user may open: nothing has to be written anywhere,
/// whatever a service's sandbox, and nothing is left behind.
const PATH: &str = "/dev";

/// How long it is waited for. Whoever holds it longer hangs, or means harm: then the TPM tells whether
/// there is room.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is tried.
const LOOK: Duration = Duration::from_micros(300);

/// While one process of hwkey has this, no other works with the TPM.
pub struct Turn(Option<File>);

impl Turn {
    pub fn take() -> Self {
        Self(locked().ok())
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

fn locked() -> io::Result<File> {
    let file = File::open(PATH)?;
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
