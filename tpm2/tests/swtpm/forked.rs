//! Forked children.

/// A child that ends with whether `work` holds.
pub fn fork(work: &dyn Fn() -> bool) -> libc::pid_t {
    // SAFETY: no thread of this process holds a lock that the child needs: glibc looks after its own,
    // and the part's are new in each process.
    unsafe {
        let child = libc::fork();
        assert!(child >= 0);
        if child == 0 {
            libc::_exit(if work() { 0 } else { 1 });
        }
        child
    }
}

pub fn succeeded(child: libc::pid_t) -> bool {
    let mut status = 0;
    // SAFETY: a place for a number.
    unsafe { libc::waitpid(child, &mut status, 0) };
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}
