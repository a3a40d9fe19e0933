//! Locks between processes that need no file of their own.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::per_process::PerProcess;

/// A file that is there anyway and that every user may open for writing, as a lock wants it: nothing is
/// written anywhere, whatever a service's sandbox, and nothing is left behind.
const PATH: &str = "/dev/null";

/// For so long a lock that could not be had is not waited for again in this process.
const RESPITE: Duration = Duration::from_secs(60);

/// Which ones could not be had, and since when.
static IN_VAIN: PerProcess<Mutex<Vec<(i64, Instant)>>> = PerProcess::new();

/// The longest pause between two attempts.
const LOOK: Duration = Duration::from_millis(2);

/// While a process has this, no other gets the lock of this name, nor another thread.
///
/// It is an open file description lock (fcntl(2), `F_OFD_SETLK`) on one byte far behind the end of a
/// file, a byte for each name. (flock(2) locks whole files: one who hangs would hold up everybody.)
pub struct ByteLock {
    file: File,
    byte: i64,
}

impl ByteLock {
    /// Waits for the lock of `name`, not longer than `patience`, and not at all if that was in vain just
    /// now: who has it may hang.
    pub fn take(name: &str, patience: Duration) -> io::Result<Self> {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let byte = (hasher.finish() >> 2) as i64;
        let in_vain = || {
            let in_vain = IN_VAIN.get(Mutex::default);
            in_vain.lock().unwrap_or_else(PoisonError::into_inner)
        };
        in_vain().retain(|(_, at)| at.elapsed() < RESPITE);
        let was_in_vain = in_vain().iter().any(|(known, _)| *known == byte);
        let patience = if was_in_vain {
            Duration::ZERO
        } else {
            patience
        };
        let lock = Self::wait(byte, patience);
        match &lock {
            Ok(_) => in_vain().retain(|(known, _)| *known != byte),
            Err(_) if patience.is_zero() => {}
            Err(_) => in_vain().push((byte, Instant::now())),
        }
        lock
    }

    fn wait(byte: i64, patience: Duration) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(PATH)?;
        let deadline = Instant::now() + patience;
        let mut pause = Duration::from_micros(100);
        loop {
            match set(&file, byte, libc::F_WRLCK) {
                Ok(()) => return Ok(Self { file, byte }),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(LOOK);
                }
            }
        }
    }
}

impl Drop for ByteLock {
    fn drop(&mut self) {
        // Not by closing alone: a child that was forked meanwhile has the file, too.
        let _ = set(&self.file, self.byte, libc::F_UNLCK);
    }
}

fn set(file: &File, byte: i64, kind: libc::c_int) -> io::Result<()> {
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
    use super::super::in_child;
    use super::*;

    const NOT_AT_ALL: Duration = Duration::ZERO;

    #[test]
    fn who_has_a_lock_keeps_others_from_that_one_only() {
        let first = ByteLock::take("one", NOT_AT_ALL).unwrap();
        assert!(ByteLock::take("one", NOT_AT_ALL).is_err());
        assert!(ByteLock::take("other", NOT_AT_ALL).is_ok());
        assert!(in_child(|| ByteLock::take("one", NOT_AT_ALL).is_err()));
        drop(first);
        assert!(ByteLock::take("one", NOT_AT_ALL).is_ok());
    }

    #[test]
    fn a_child_that_was_forked_meanwhile_does_not_keep_the_lock() {
        let lock = ByteLock::take("forked", NOT_AT_ALL).unwrap();
        let (reader, writer) = io::pipe().unwrap();
        // SAFETY: the child only reads and ends by _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            drop(writer);
            let _ = io::read_to_string(reader);
            // SAFETY: it takes a number.
            unsafe { libc::_exit(0) };
        }
        drop(lock);
        assert!(ByteLock::take("forked", NOT_AT_ALL).is_ok());
        drop(writer);
        // SAFETY: the child of this process, waited for once.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    }
}
