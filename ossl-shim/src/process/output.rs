//! Where a log can go from inside another program.

use std::fmt::Write as _;

/// Writes to standard error without the lock that `std::io::stderr` has, which a thread of the
/// parent may have held at a fork. A closed or full standard error is ignored.
pub fn write_stderr(text: &str) {
    without_sigpipe(|| {
        // SAFETY: the buffer has the given length.
        unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) }
    });
}

/// Runs `work` so that a pipe or socket that nobody reads any more can't end the program: a SIGPIPE that
/// comes up in this thread is taken away again, without touching the program's handlers.
pub fn without_sigpipe<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: the sets are initialised by sigemptyset before use; all calls are for this thread.
    unsafe {
        let mut pipe: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut pipe);
        libc::sigaddset(&mut pipe, libc::SIGPIPE);
        let was_pending = is_pending();
        libc::pthread_sigmask(libc::SIG_BLOCK, &pipe, &mut before);
        let restore = Restore {
            pipe,
            before,
            was_pending,
        };
        let done = work();
        drop(restore);
        done
    }
}

/// Undoes it, also after a panic.
struct Restore {
    pipe: libc::sigset_t,
    before: libc::sigset_t,
    was_pending: bool,
}

impl Drop for Restore {
    fn drop(&mut self) {
        // SAFETY: the sets are initialised; all calls are for this thread.
        unsafe {
            if !self.was_pending && is_pending() {
                let now = libc::timespec {
                    tv_sec: 0,
                    tv_nsec: 0,
                };
                libc::sigtimedwait(&self.pipe, std::ptr::null_mut(), &now);
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut());
        }
    }
}

fn is_pending() -> bool {
    // SAFETY: the set is initialised by sigpending before it is read.
    unsafe {
        let mut pending: libc::sigset_t = std::mem::zeroed();
        libc::sigpending(&mut pending);
        libc::sigismember(&pending, libc::SIGPIPE) == 1
    }
}

/// Gives `text` to syslog(3) under the identity of the program.
pub fn write_syslog(level: SyslogLevel, text: &str) {
    let mut message = String::with_capacity(text.len() + 1);
    for part in text.split('\0') {
        let _ = message.write_str(part);
    }
    message.push('\0');
    let priority = libc::LOG_USER
        | match level {
            SyslogLevel::Error => libc::LOG_ERR,
            SyslogLevel::Warning => libc::LOG_WARNING,
            SyslogLevel::Info => libc::LOG_INFO,
            SyslogLevel::Debug => libc::LOG_DEBUG,
        };
    // SAFETY: a format with one string argument, and a NUL-terminated string for it.
    unsafe { libc::syslog(priority, c"%s".as_ptr(), message.as_ptr()) };
}

/// syslog(3) severities that we use.
#[derive(Clone, Copy, Debug)]
pub enum SyslogLevel {
    Error,
    Warning,
    Info,
    Debug,
}
