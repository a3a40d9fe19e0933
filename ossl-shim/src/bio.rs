//! A BIO lent by the core for one call.

use std::ffi::{c_char, c_int};

use foreign_types::ForeignTypeRef;

use crate::abi::{CoreBio, LentBioRef};
use crate::core::Calls;
use crate::fault::Fault;

/// The most that is read of one line or file: PEM files with whole chains are far below.
const LIMIT: usize = 1 << 20;

/// Reads from or writes to OpenSSL's BIO.
pub struct Bio<'a> {
    bio: &'a LentBioRef,
    calls: &'a Calls,
}

impl<'a> Bio<'a> {
    /// # Safety
    /// `bio` must be null or a BIO that the core lends for `'a`.
    pub(crate) unsafe fn new(bio: *mut CoreBio, calls: &'a Calls) -> Result<Self, Fault> {
        if bio.is_null() {
            return Err(Fault::Null("the BIO"));
        }
        // SAFETY: not null, and the caller's promise.
        let bio = unsafe { LentBioRef::from_ptr(bio) };
        Ok(Self { bio, calls })
    }

    /// The next line with its newline, or `None` at the end. Lines are cut at 1 MiB.
    pub fn line(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let gets = self.calls.bio_gets.ok_or(Fault::Bio("no BIO_gets"))?;
        let mut line = Vec::new();
        let mut piece = [0u8; 512];
        while line.len() < LIMIT && line.last() != Some(&b'\n') {
            // SAFETY: the BIO is alive (see `new`) and the buffer has the given size; BIO_gets
            // writes at most that, with a NUL.
            let got = unsafe {
                gets(
                    self.bio.as_ptr(),
                    piece.as_mut_ptr().cast::<c_char>(),
                    piece.len() as c_int,
                )
            };
            let Some(got) = usize::try_from(got).ok().filter(|got| *got > 0) else {
                break;
            };
            line.extend_from_slice(&piece[..got.min(piece.len())]);
        }
        Ok((!line.is_empty()).then_some(line))
    }

    /// Everything that is left, up to `limit` bytes (at most 1 MiB).
    pub fn rest(&mut self, limit: usize) -> Result<Vec<u8>, Fault> {
        let read = self.calls.bio_read.ok_or(Fault::Bio("no BIO_read_ex"))?;
        let limit = limit.min(LIMIT);
        let mut data = Vec::new();
        let mut piece = [0u8; 4096];
        while data.len() < limit {
            let mut got = 0;
            // SAFETY: the BIO is alive and the buffer has the given size.
            let ok = unsafe {
                read(
                    self.bio.as_ptr(),
                    piece.as_mut_ptr().cast(),
                    piece.len().min(limit - data.len()),
                    &mut got,
                )
            };
            if ok != 1 || got == 0 {
                break;
            }
            data.extend_from_slice(&piece[..got.min(piece.len())]);
        }
        Ok(data)
    }

    /// Writes all of `data`.
    pub fn write_all(&mut self, mut data: &[u8]) -> Result<(), Fault> {
        let write = self.calls.bio_write.ok_or(Fault::Bio("no BIO_write_ex"))?;
        while !data.is_empty() {
            let mut written = 0;
            // SAFETY: the BIO is alive and `data` has the given length.
            let ok = unsafe {
                write(
                    self.bio.as_ptr(),
                    data.as_ptr().cast(),
                    data.len(),
                    &mut written,
                )
            };
            if ok != 1 || written == 0 {
                return Err(Fault::Bio("write"));
            }
            data = data.get(written..).unwrap_or_default();
        }
        Ok(())
    }
}
