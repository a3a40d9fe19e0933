//! What a library inside other people's processes must know of them: forks, privileges, memory for
//! secrets, and where to write.

mod append_only;
mod family;
mod generation;
mod output;
mod page;
mod per_process;
mod secret;

pub use append_only::AppendOnly;
pub use family::FamilySet;
pub use generation::Generation;
pub use libc::O_NONBLOCK;
pub use output::{SyslogLevel, write_stderr, write_syslog};
pub use per_process::PerProcess;
pub use secret::Secret;

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
