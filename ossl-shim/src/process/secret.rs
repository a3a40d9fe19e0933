//! Memory for PINs.

use std::ops::Deref;

use super::page::Page;

/// Bytes on a page of their own that is locked in memory, left out of core dumps, and cleared when
/// it is given back.
pub struct Secret {
    page: Page,
    length: usize,
}

// SAFETY: after construction it is only read, until `drop`.
unsafe impl Send for Secret {}
// SAFETY: as above.
unsafe impl Sync for Secret {}

impl Secret {
    /// The most bytes that a secret can have.
    pub const CAPACITY: usize = 1024;

    /// Lets `fill` write up to [`Self::CAPACITY`] bytes and say how many it wrote. `None` if it
    /// wrote none or there is no memory.
    pub fn filled(fill: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<Self> {
        let page = Page::for_secret()?;
        let mut secret = Self { page, length: 0 };
        // SAFETY: the page is mapped, writable, zeroed, larger than CAPACITY, and ours alone.
        let buffer =
            unsafe { std::slice::from_raw_parts_mut(secret.page.address(), Self::CAPACITY) };
        secret.length = fill(buffer)?.min(Self::CAPACITY);
        Some(secret)
    }

    /// A copy of `bytes`. The original is the caller's to clear.
    pub fn copied(bytes: &[u8]) -> Option<Self> {
        Self::filled(|buffer| {
            buffer.get_mut(..bytes.len())?.copy_from_slice(bytes);
            Some(bytes.len())
        })
    }
}

impl Deref for Secret {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the page is mapped while `self` lives, and `length` is within it.
        unsafe { std::slice::from_raw_parts(self.page.address(), self.length) }
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        for offset in 0..Self::CAPACITY {
            // SAFETY: within the page. Volatile, so that clearing memory that is about to go is
            // not optimised away.
            unsafe { self.page.address().add(offset).write_volatile(0) };
        }
        self.page.unmap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_locked_left_out_of_dumps_and_bounded() {
        let secret = Secret::copied(b"123456").unwrap();
        assert_eq!(&*secret, b"123456");
        assert!(Secret::copied(&[1; Secret::CAPACITY + 1]).is_none());
        let flags = mapping_flags(secret.as_ptr() as usize);
        assert!(flags.contains(" dd"), "dumped: {flags}");
        assert!(flags.contains(" lo"), "not locked: {flags}");
    }

    /// The VmFlags of proc_pid_smaps(5) for the mapping that has `address`.
    fn mapping_flags(address: usize) -> String {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let is_it = |line: &str| {
            let range = line
                .split(' ')
                .next()
                .and_then(|range| range.split_once('-'));
            let parse = |hex| usize::from_str_radix(hex, 16);
            range.is_some_and(|(start, end)| match (parse(start), parse(end)) {
                (Ok(start), Ok(end)) => (start..end).contains(&address),
                _ => false,
            })
        };
        let mut entry = smaps.lines().skip_while(|line| !is_it(line));
        let flags = entry.find(|line| line.starts_with("VmFlags:"));
        flags.expect("the mapping").to_owned()
    }
}
