//! A list that a forked child can use whatever its parent was doing.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A list that only grows, without a lock: a forked child can read and extend it whatever the
/// parent's threads were doing. Elements live as long as the list.
pub struct AppendOnly<T> {
    newest: AtomicPtr<Node<T>>,
}

struct Node<T> {
    value: T,
    older: *const Node<T>,
}

// SAFETY: it hands out shared references only and takes values from any thread.
unsafe impl<T: Send + Sync> Sync for AppendOnly<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for AppendOnly<T> {}

impl<T> AppendOnly<T> {
    pub const fn new() -> Self {
        Self {
            newest: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Adds `value` and returns where it now lives.
    pub fn push(&self, value: T) -> &T {
        let node = Box::into_raw(Box::new(Node {
            value,
            older: ptr::null(),
        }));
        let mut newest = self.newest.load(Ordering::Acquire);
        loop {
            // SAFETY: `node` is not published yet, so this is its only user.
            unsafe { (*node).older = newest };
            match self.newest.compare_exchange_weak(
                newest,
                node,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                // SAFETY: nodes are freed only by `drop`.
                Ok(_) => return unsafe { &(*node).value },
                Err(now) => newest = now,
            }
        }
    }

    /// The values, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let mut next: *const Node<T> = self.newest.load(Ordering::Acquire);
        std::iter::from_fn(move || {
            // SAFETY: nodes are freed only by `drop`, and a published node never changes.
            let node = unsafe { next.as_ref() }?;
            next = node.older;
            Some(&node.value)
        })
    }
}

impl<T> Default for AppendOnly<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for AppendOnly<T> {
    fn drop(&mut self) {
        let mut next = *self.newest.get_mut();
        while !next.is_null() {
            // SAFETY: the nodes came from boxes and nobody refers to them (`&mut self`).
            let node = unsafe { Box::from_raw(next) };
            next = node.older.cast_mut();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_gives_the_newest_first_and_keeps_all() {
        let list = AppendOnly::new();
        std::thread::scope(|scope| {
            for n in 0..4 {
                let list = &list;
                scope.spawn(move || (0..100).for_each(|m| _ = list.push(n * 100 + m)));
            }
        });
        list.push(1000);
        assert_eq!(list.iter().next(), Some(&1000));
        let mut all: Vec<i32> = list.iter().copied().collect();
        all.sort_unstable();
        assert!(all.iter().copied().eq((0..400).chain([1000])));
    }
}
