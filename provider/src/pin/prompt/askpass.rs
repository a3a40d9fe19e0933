//! Asking by a program: it is given the question as its argument, and prints the PIN.

use std::io;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ossl_shim::process::is_privileged;

use super::line;
use crate::pin::Pin;

/// How often it is looked whether the program has ended.
const LOOK: Duration = Duration::from_millis(5);

/// Runs the program at `path`.
pub fn ask(path: &Path, question: &str, deadline: Instant) -> io::Result<Option<Pin>> {
    let mut command = Command::new(path);
    command.arg(question).stdin(Stdio::null());
    // It gets rights that the user of a set-user-ID program does not have.
    if is_privileged() {
        command.env_clear();
    } else {
        // It is not for the askpass program to load us again.
        command.env_remove("OPENSSL_CONF");
    }
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let Some(mut answer) = child.stdout.take() else {
        return Ok(None);
    };
    let line = line::read(&mut answer, &[], deadline).inspect_err(|_| stop(&mut child))?;
    match end(&mut child, &mut answer, deadline)? {
        Some(status) if !status.success() => {
            Err(io::Error::other(format!("it ended with {status}")))
        }
        _ => Ok(line.pin),
    }
}

/// How it ended, whatever else it prints: neither SIGPIPE nor a full pipe must hold it up. `None` if
/// the program that we are in has reaped it (SIGCHLD ignored, or a handler that waits for all
/// children). The answer counts then.
fn end(
    child: &mut Child,
    output: &mut ChildStdout,
    deadline: Instant,
) -> io::Result<Option<ExitStatus>> {
    let mut is_at_end = false;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(Some(status)),
            Err(_) => return Ok(None),
            Ok(None) if Instant::now() < deadline && is_at_end => thread::park_timeout(LOOK),
            Ok(None) if Instant::now() < deadline => {
                is_at_end = line::discard(output, Instant::now() + LOOK);
            }
            Ok(None) => {
                stop(child);
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "it did not end in time",
                ));
            }
        }
    }
}

/// Ends it, if it is still ours: the number of one that somebody else has reaped may be another
/// process's by now.
fn stop(child: &mut Child) {
    if matches!(child.try_wait(), Ok(None)) {
        let _ = child.kill();
        let _ = child.wait();
    }
}
