//! Turns between processes: the slots of a TPM without a resource manager are three for everybody, so
//! that two tasks at once can find them full.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

/// A file that is there anyway and that every user may open for writing, as a lock wants it: nothing is
/// written anywhere, whatever a service's sandbox, and nothing is left behind.
const PATH: &str = "/dev/null";

/// How long it is waited for. Whoever holds it longer hangs, or means harm: then the TPM tells whether
/// there is room.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is tried.
const LOOK: Duration = Duration::from_micros(300);

/// While one process of hwkey has this, no other works with the TPM of this TCTI.
///
/// It is an open file description lock (fcntl(2), F_OFD_SETLK) on one byte: each TCTI has a byte of its
/// own. (flock(2) locks whole files, and a TPM that hangs would hold up those who use another one.)
pub struct Turn(Option<(File, i64)>);

impl Turn {
    pub fn take(tcti: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        tcti.hash(&mut hasher);
        let byte = (hasher.finish() >> 2) as i64;
        Self(locked(byte).ok().map(|file| (file, byte)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Not by closing alone: a child that was forked meanwhile has the file, too.
        if let Some((file, byte)) = &self.0 {
            let _ = lock(file, *byte, libc::F_UNLCK);
        }
    }
}

fn locked(byte: i64) -> io::Result<File> {
    let file = File::options().read(true).write(true).open(PATH)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match lock(&file, byte, libc::F_WRLCK) {
            Ok(()) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline =>
            {
                thread::sleep(LOOK);
            }
            Err(error) => return Err(error),
        }
    }
}

fn lock(file: &File, byte: i64, kind: libc::c_int) -> io::Result<()> {
    let range = libc::flock64 {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    };
    // SAFETY: an open file, and a structure that is read during the call.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const range) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_the_turn_keeps_others_from_the_same_tpm_only() {
        let first = Turn::take("swtpm:port=1");
        let (file, byte) = first.0.as_ref().unwrap();
        assert!(file.metadata().is_ok());
        let again = File::options().read(true).write(true).open(PATH).unwrap();
        assert!(lock(&again, *byte, libc::F_WRLCK).is_err());
        assert!(Turn::take("swtpm:port=2").0.is_some());
        let byte = *byte;
        drop(first);
        assert!(lock(&again, byte, libc::F_WRLCK).is_ok());
    }
}
