//! Connections that a forked child inherits and must not use.

use std::fs;
use std::mem::{MaybeUninit, size_of};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use libc::{c_int, sockaddr_un, socklen_t};

/// A connection of this process to a Unix-domain socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    descriptor: c_int,
    /// What a descriptor with the same number is told from later.
    inode: libc::ino_t,
}

impl Connection {
    /// Those to sockets with this file name.
    pub fn all_to(name: &str) -> Vec<Self> {
        let Ok(descriptors) = fs::read_dir("/proc/self/fd") else {
            return Vec::new();
        };
        let numbers =
            descriptors.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_meant = |descriptor: &c_int| {
            let peer = peer(*descriptor);
            peer.is_some_and(|path| path.file_name().is_some_and(|known| known == name))
        };
        let meant = numbers.filter(is_meant);
        let connection = |descriptor| {
            let inode = inode(descriptor)?;
            Some(Self { descriptor, inode })
        };
        meant.filter_map(connection).collect()
    }

    /// In a child that inherited it: cuts this process off from it. Whoever goes on using the
    /// descriptor gets an error; the parent's connection is not touched.
    pub fn cut(self) {
        if inode(self.descriptor) != Some(self.inode) {
            return;
        }
        let mut pair = [-1; 2];
        // SAFETY: the array has room for both descriptors, which are ours alone; the target is an
        // open descriptor of the connection that is to be cut, and dup2 replaces it atomically.
        unsafe {
            if libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr()) == 0 {
                libc::close(pair[1]);
                libc::dup3(pair[0], self.descriptor, libc::O_CLOEXEC);
                libc::close(pair[0]);
            }
        }
    }
}

/// The path of the socket at the other end, getpeername(2).
fn peer(descriptor: c_int) -> Option<PathBuf> {
    let mut address = MaybeUninit::<sockaddr_un>::zeroed();
    let mut length = size_of::<sockaddr_un>() as socklen_t;
    // SAFETY: the address has room for `length` bytes; all-zero bytes are a valid sockaddr_un.
    let address = unsafe {
        if libc::getpeername(descriptor, address.as_mut_ptr().cast(), &mut length) != 0 {
            return None;
        }
        address.assume_init()
    };
    if c_int::from(address.sun_family) != libc::AF_UNIX {
        return None;
    }
    // C's char has a sign on x86 and none on ARM.
    let bytes = address.sun_path.map(|byte| byte.to_ne_bytes()[0]);
    let path = bytes.split(|byte| *byte == 0).next()?;
    Some(std::ffi::OsStr::from_bytes(path).into())
}

fn inode(descriptor: c_int) -> Option<libc::ino_t> {
    let mut status = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the structure is written to during the call only; all-zero bytes are valid for it.
    unsafe {
        (libc::fstat(descriptor, status.as_mut_ptr()) == 0).then(|| status.assume_init().st_ino)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::super::in_child;
    use super::*;

    #[test]
    fn a_child_is_cut_off_and_its_parent_is_not() -> io::Result<()> {
        let path = std::env::temp_dir().join(format!("hwkey-{}.comm", std::process::id()));
        let listener = UnixListener::bind(&path)?;
        let mut ours = UnixStream::connect(&path)?;
        let (mut theirs, _) = listener.accept()?;
        fs::remove_file(&path)?;
        let name = path.file_name().unwrap().to_str().unwrap();
        let found = Connection::all_to(name);
        assert_eq!(found.len(), 1);
        assert!(in_child(|| {
            found[0].cut();
            found[0].cut();
            (&ours).write(b"lost").is_err() && Connection::all_to(name).is_empty()
        }));
        ours.write_all(b"here")?;
        let mut text = [0; 4];
        theirs.read_exact(&mut text)?;
        assert_eq!(&text, b"here");
        Ok(())
    }
}
