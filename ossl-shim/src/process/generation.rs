//! Telling a process from its forked children.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::page::Page;

/// Distinguishes a process from its forked children. A value taken before a fork differs from one
/// taken in the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u64);

impl Generation {
    /// The generation of this process.
    ///
    /// A page that the kernel clears in a forked child (madvise(2), `MADV_WIPEONFORK`, Linux 4.14)
    /// holds it: reading it costs one load, and no fork handler is registered with the program.
    /// Where the kernel can't, the process id takes its place.
    pub fn current() -> Self {
        static MARKER: OnceLock<Option<Page>> = OnceLock::new();
        let Some(page) = MARKER.get_or_init(Page::wiped_on_fork) else {
            return Self(u64::from(std::process::id()));
        };
        // SAFETY: the page is mapped for good, aligned, and only used as this atomic.
        let word = unsafe { &*page.address().cast::<AtomicU64>() };
        match word.load(Ordering::Acquire) {
            0 => Self::begin(word),
            generation => Self(generation),
        }
    }

    /// First use in this process.
    #[cold]
    fn begin(word: &AtomicU64) -> Self {
        // Inherited by children, so that every process of a family gets a new number.
        static LAST: AtomicU64 = AtomicU64::new(0);
        let new = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        match word.compare_exchange(0, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Self(new),
            Err(other_thread) => Self(other_thread),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::in_child;
    use super::*;

    #[test]
    fn a_forked_child_is_another_generation_and_so_is_its_child() {
        let parent = Generation::current();
        assert_eq!(parent, Generation::current());
        assert!(in_child(|| {
            let child = Generation::current();
            child != parent
                && child == Generation::current()
                && in_child(|| ![parent, child].contains(&Generation::current()))
        }));
        assert_eq!(parent, Generation::current());
    }
}
