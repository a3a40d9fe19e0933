//! One connection to the service's socket, for one request, with a deadline.
//!
//! The library's own connection waits without end where the listener's queue is full, and its writes
//! raise SIGPIPE, which ends a C program, where the service closes first.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use parsec_client::core::ipc_handler::{Connect, ReadWrite};
use parsec_client::error::{ClientErrorKind, Error, Result};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

/// Makes the connection of one request, and keeps what went wrong with it: the library makes one
/// status of all faults.
pub struct Connector {
    socket: PathBuf,
    deadline: Instant,
    fault: Fault,
}

/// What went wrong.
pub type Fault = Arc<Mutex<Option<io::Error>>>;

impl Connector {
    pub fn new(socket: &Path, deadline: Instant) -> Self {
        Self {
            socket: socket.to_owned(),
            deadline,
            fault: Fault::default(),
        }
    }

    pub fn fault(&self) -> Fault {
        self.fault.clone()
    }
}

impl Connect for Connector {
    fn connect(&self) -> Result<Box<dyn ReadWrite>> {
        let socket = open(&self.socket, self.deadline);
        Ok(Box::new(Channel {
            socket: socket.map_err(|error| Error::Client(ClientErrorKind::Ipc(error)))?,
            deadline: self.deadline,
            fault: self.fault(),
        }))
    }

    fn set_timeout(&mut self, timeout: Option<Duration>) {
        if let Some(timeout) = timeout {
            self.deadline = Instant::now() + timeout;
        }
    }
}

struct Channel {
    socket: OwnedFd,
    deadline: Instant,
    fault: Fault,
}

impl Channel {
    /// Does `what` before the deadline, again if a signal disturbs it.
    fn in_time(
        &self,
        way: Timeout,
        mut what: impl FnMut() -> rustix::io::Result<usize>,
    ) -> io::Result<usize> {
        let outcome = loop {
            let left = time_left(self.deadline)
                .and_then(|left| Ok(set_socket_timeout(&self.socket, way, Some(left))?));
            match left.and_then(|()| Ok(what()?)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome,
            }
        };
        outcome.map_err(|error| {
            let kind = error.kind();
            let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
            *fault = Some(error);
            kind.into()
        })
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.in_time(Timeout::Recv, || {
            rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::empty()).map(|(read, _)| read)
        })
    }
}

impl Write for Channel {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.in_time(Timeout::Send, || {
            rustix::net::send(&self.socket, buffer, SendFlags::NOSIGNAL)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(path: &Path, deadline: Instant) -> io::Result<OwnedFd> {
    let address = SocketAddrUnix::new(path)?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    loop {
        // unix(7) does not tell: connect() too waits for the time that SO_SNDTIMEO gives.
        set_socket_timeout(&socket, Timeout::Send, Some(time_left(deadline)?))?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) => return Ok(socket),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.checked_duration_since(Instant::now());
    left.filter(|left| !left.is_zero())
        .ok_or_else(|| io::ErrorKind::WouldBlock.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn channel(wait: Duration) -> (Channel, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let channel = Channel {
            socket: ours.into(),
            deadline: Instant::now() + wait,
            fault: Fault::default(),
        };
        (channel, theirs)
    }

    fn fault(channel: &Channel) -> io::ErrorKind {
        channel.fault.lock().unwrap().as_ref().unwrap().kind()
    }

    #[test]
    fn who_never_answers_is_waited_for_until_the_deadline() {
        let (mut channel, theirs) = channel(Duration::from_millis(30));
        assert!(channel.read(&mut [0; 9]).is_err());
        assert_eq!(fault(&channel), io::ErrorKind::WouldBlock);
        // One byte at a time does not put it off.
        (&theirs).write_all(&[1]).unwrap();
        assert!(channel.read(&mut [0; 9]).is_err());
        assert!(channel.write(&[0; 9]).is_err());
    }

    #[test]
    fn who_has_gone_is_known() {
        let (mut channel, theirs) = channel(Duration::from_secs(20));
        drop(theirs);
        assert_eq!(channel.read(&mut [0; 9]).unwrap(), 0);
        assert!(channel.write(&[0; 9]).is_err());
        assert_eq!(fault(&channel), io::ErrorKind::BrokenPipe);
    }
}
