//! What a library inside other people's processes must know of them: forks, privileges, memory for
//! secrets, and where to write.

mod append_only;
mod byte_lock;
mod family;
mod generation;
mod output;
mod page;
mod per_process;
mod secret;
mod socket;

pub use append_only::AppendOnly;
pub use byte_lock::ByteLock;
pub use family::FamilySet;
pub use generation::Generation;
pub use libc::O_NONBLOCK;
pub use output::{SyslogLevel, without_sigpipe, write_stderr, write_syslog};
pub use per_process::PerProcess;
pub use secret::Secret;
pub use socket::Connection;

/// The user that the program acts as, geteuid(2).
pub fn user_id() -> u32 {
    // SAFETY: geteuid has no preconditions and does not fail.
    unsafe { libc::geteuid() }
}

/// Whether the program runs with rights that its user does not have (set-user-ID, capabilities):
/// then its environment is not to be trusted. getauxval(3), `AT_SECURE`.
pub fn is_privileged() -> bool {
    // SAFETY: getauxval has no preconditions.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Runs `f`, such as the start of a thread: threads inherit what is blocked. A signal that is meant for
/// the process must not run the program's handler in a thread of ours.
pub fn with_signals_blocked<T>(f: impl FnOnce() -> T) -> T {
    struct Restore(libc::sigset_t);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the set was filled in by pthread_sigmask.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
        }
    }
    // SAFETY: the sets are initialised by the calls before they are read.
    let _restore = unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &all, &mut before);
        Restore(before)
    };
    f()
}

/// Runs `check` in a forked child and tells whether it held there.
#[cfg(test)]
fn in_child(check: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child only computes and ends by _exit.
    unsafe {
        let pid = libc::fork();
        assert!(pid >= 0, "fork");
        if pid == 0 {
            libc::_exit(if check() { 0 } else { 1 });
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gets_no_signals_and_its_parent_does() {
        let blocked = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("SigBlk:"));
            u64::from_str_radix(line.unwrap()[7..].trim(), 16).unwrap()
        };
        let before = blocked();
        let thread = with_signals_blocked(|| std::thread::spawn(blocked));
        let terminate = 1 << (libc::SIGTERM - 1);
        assert_ne!(thread.join().unwrap() & terminate, 0);
        assert_eq!(blocked(), before);
    }
}
