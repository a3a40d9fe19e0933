//! Reading an answer: one line, into locked memory only.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::pin::{Pin, without_line_end};

/// What was read up to the end of a line.
pub struct Line {
    /// `None` if there was nothing.
    pub pin: Option<Pin>,
    /// The byte that ended the line; `None` at the end of the input.
    pub end: Option<u8>,
}

/// Reads up to a newline, one of `ends`, or the end of the input.
pub fn read(from: &mut (impl Read + AsFd), ends: &[u8], deadline: Instant) -> io::Result<Line> {
    let mut end = None;
    let mut outcome = Ok(());
    let pin = Pin::filled(|buffer| {
        let mut length = 0;
        while length < buffer.len() {
            let read = match read_before(from, &mut buffer[length..], deadline) {
                Ok(0) => return (length > 0).then(|| without_line_end(&buffer[..length])),
                Ok(read) => read,
                Err(error) => {
                    outcome = Err(error);
                    return None;
                }
            };
            let is_end = |byte: &u8| *byte == b'\n' || ends.contains(byte);
            if let Some(at) = buffer[length..length + read].iter().position(is_end) {
                end = Some(buffer[length + at]);
                return Some(without_line_end(&buffer[..length + at]));
            }
            length += read;
        }
        outcome = Err(io::Error::other("the answer is longer than any PIN"));
        None
    });
    outcome.map(|()| Line { pin, end })
}

/// Reads what else there is, until `deadline` or the end of the input; whether that was reached.
pub fn discard(from: &mut (impl Read + AsFd), deadline: Instant) -> bool {
    let mut dropped = [0; 4096];
    while let Ok(true) = is_readable(from.as_fd(), deadline) {
        match from.read(&mut dropped) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
    }
    false
}

fn read_before(
    from: &mut (impl Read + AsFd),
    buffer: &mut [u8],
    deadline: Instant,
) -> io::Result<usize> {
    loop {
        if !is_readable(from.as_fd(), deadline)? {
            let problem = "there was no answer in time";
            return Err(io::Error::new(io::ErrorKind::TimedOut, problem));
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
            // Minutes at most.
            tv_sec: left.as_secs() as i64,
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
