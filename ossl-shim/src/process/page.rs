//! One page of memory.

use std::ptr::{self, NonNull};

/// An anonymous mapping of one page, zeroed.
pub(super) struct Page(NonNull<u8>);

// SAFETY: it is an address; its users say how the memory may be used.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

impl Page {
    /// Its address; the memory is `SIZE` bytes, mapped until [`Self::unmap`].
    pub(super) fn address(&self) -> *mut u8 {
        self.0.as_ptr()
    }

    pub(super) const SIZE: usize = 4096;

    fn map(sharing: libc::c_int) -> Option<Self> {
        // SAFETY: a new anonymous mapping touches nothing else.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                Self::SIZE,
                libc::PROT_READ | libc::PROT_WRITE,
                sharing | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return None;
        }
        NonNull::new(address.cast()).map(Self)
    }

    pub(super) fn wiped_on_fork() -> Option<Self> {
        let page = Self::map(libc::MAP_PRIVATE)?;
        if page.advise(libc::MADV_WIPEONFORK) {
            return Some(page);
        }
        page.unmap();
        None
    }

    pub(super) fn for_secret() -> Option<Self> {
        let page = Self::map(libc::MAP_PRIVATE)?;
        page.advise(libc::MADV_DONTDUMP);
        // Where RLIMIT_MEMLOCK does not allow it, the PIN works all the same.
        // SAFETY: the page is mapped.
        unsafe { libc::mlock(page.0.as_ptr().cast(), Self::SIZE) };
        Some(page)
    }

    /// One that forked children share.
    pub(super) fn shared() -> Option<Self> {
        Self::map(libc::MAP_SHARED)
    }

    fn advise(&self, advice: libc::c_int) -> bool {
        // SAFETY: the page is mapped and ours.
        unsafe { libc::madvise(self.0.as_ptr().cast(), Self::SIZE, advice) == 0 }
    }

    pub(super) fn unmap(&self) {
        // SAFETY: the page is mapped and nobody uses it any more (callers are `drop` and a failed
        // constructor).
        unsafe { libc::munmap(self.0.as_ptr().cast(), Self::SIZE) };
    }
}
