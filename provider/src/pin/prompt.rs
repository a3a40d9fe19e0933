//! `pin-prompt`: asking for a PIN where OpenSSL offers no prompt, at a signature above all.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ossl_shim::process::is_privileged;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

use crate::error::{Error, Reason, Result, system_text};
use crate::pin::Pin;

/// How long the user may take. Other threads that need the token wait meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

/// Who asks when OpenSSL can't.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinPrompt {
    /// The terminal that controls the process, tty(4).
    Terminal,
    /// A program that is given the question as its argument and prints the PIN, as ssh-askpass.
    Program(PathBuf),
}

impl PinPrompt {
    /// `tty`, or the absolute path of a program.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "tty" => Some(Self::Terminal),
            path if path.starts_with('/') => Some(Self::Program(path.into())),
            _ => None,
        }
    }

    /// Asks for the PIN of `what`.
    pub fn ask(&self, what: &str) -> Result<Pin> {
        let question = question(what);
        let answer = match self {
            Self::Terminal => Terminal::open().and_then(|mut terminal| terminal.ask(&question)),
            Self::Program(path) => ask_program(path, &question),
        };
        let problem = match answer {
            Ok(Some(pin)) if !pin.is_empty() => return Ok(pin),
            Ok(_) => "no PIN was given".into(),
            Err(error) => system_text(&error),
        };
        let cure = match self {
            Self::Terminal => {
                "run the program in the foreground of a terminal, or configure a pin-source"
            }
            Self::Program(_) => "try the program by hand, or configure a pin-source",
        };
        Err(Error::new(
            Reason::PinRequired,
            format!("asking for the PIN of {what} by {self}: {problem}; {cure}"),
        ))
    }
}

impl std::fmt::Display for PinPrompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Terminal => f.write_str("pin-prompt = tty"),
            Self::Program(path) => write!(f, "pin-prompt = {}", path.display()),
        }
    }
}

/// One line: the label is the token's, and must not be able to play tricks with a terminal.
fn question(what: &str) -> String {
    let shown: String = what
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("PIN for {shown}: ")
}

/// The controlling terminal. What is typed is not shown; dropping it restores what was.
struct Terminal {
    device: File,
    before: Termios,
}

impl Terminal {
    fn open() -> io::Result<Self> {
        let device = File::options().read(true).write(true).open("/dev/tty")?;
        // A process in the background would be stopped, with all its threads.
        if tcgetpgrp(&device)? != getpgrp() {
            return Err(io::Error::other("the process is in the background"));
        }
        let before = tcgetattr(&device)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent
            .local_modes
            .insert(LocalModes::ECHONL | LocalModes::ICANON);
        // What was typed before the question is not an answer to it.
        tcsetattr(&device, OptionalActions::Flush, &silent)?;
        Ok(Self { device, before })
    }

    fn ask(&mut self, question: &str) -> io::Result<Option<Pin>> {
        self.device.write_all(question.as_bytes())?;
        read_line(&mut self.device, Instant::now() + PATIENCE)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(&self.device, OptionalActions::Now, &self.before) {
            log::debug!("restoring the terminal: {error}");
        }
    }
}

fn ask_program(path: &Path, question: &str) -> io::Result<Option<Pin>> {
    let mut command = Command::new(path);
    command.arg(question).stdin(Stdio::null());
    // It gets rights that the user of a set-user-ID program does not have.
    if is_privileged() {
        command.env_clear();
    } else {
        // It is not for the askpass program to load us again.
        command.env_remove("OPENSSL_CONF");
    }
    let mut child = Reaped(command.stdout(Stdio::piped()).spawn()?);
    let Some(mut answer) = child.0.stdout.take() else {
        return Ok(None);
    };
    let pin = read_line(&mut answer, Instant::now() + PATIENCE)?;
    drop(answer);
    // A server may reap all its children by itself; the answer counts then.
    match child.0.wait() {
        Ok(status) if !status.success() => Err(io::Error::other(format!("it ended with {status}"))),
        _ => Ok(pin),
    }
}

/// A child that does not stay behind when the user takes too long.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Without effect on one that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first line, without its end; `None` if there is none, or it is longer than any PIN. Read
/// into locked memory only.
fn read_line(from: &mut (impl Read + AsFd), deadline: Instant) -> io::Result<Option<Pin>> {
    let mut outcome = Ok(());
    let pin = Pin::filled(|buffer| {
        let mut length = 0;
        while length < buffer.len() {
            match read_before(from, &mut buffer[length..], deadline) {
                Ok(0) => return (length > 0).then_some(length),
                Ok(read) => {
                    let line = &buffer[length..length + read];
                    if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
                        return Some(length + end);
                    }
                    length += read;
                }
                Err(error) => {
                    outcome = Err(error);
                    return None;
                }
            }
        }
        None
    });
    outcome.map(|()| pin)
}

fn read_before(
    from: &mut (impl Read + AsFd),
    buffer: &mut [u8],
    deadline: Instant,
) -> io::Result<usize> {
    loop {
        if !is_readable(from.as_fd(), deadline)? {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("there was no answer in {} seconds", PATIENCE.as_secs()),
            ));
        }
        match from.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Waits until there is something to read, or the end; false after the deadline.
fn is_readable(fd: BorrowedFd<'_>, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            // Two minutes at most.
            tv_sec: left.as_secs() as i64,
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_plays_no_tricks_with_the_terminal() {
        assert_eq!(
            question("token \"a\u{1b}[2Jb\n\""),
            "PIN for token \"a [2Jb \": "
        );
    }

    #[test]
    fn only_tty_and_absolute_paths_are_prompts() {
        assert_eq!(PinPrompt::parse("tty"), Some(PinPrompt::Terminal));
        assert_eq!(
            PinPrompt::parse("/x"),
            Some(PinPrompt::Program("/x".into()))
        );
        for wrong in ["", "askpass", "TTY", "yes"] {
            assert_eq!(PinPrompt::parse(wrong), None, "{wrong}");
        }
    }
}
