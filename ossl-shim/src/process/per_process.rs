//! Values that a forked child does not share with its parent.

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::generation::Generation;

/// A value that belongs to one process: a forked child gets its own, made at its first use.
///
/// What the parent had is neither used nor dropped in the child: its locks may be held by threads
/// that do not exist there, and its sessions are on a wire that the parent still uses.
pub struct PerProcess<T> {
    current: AtomicPtr<Slot<T>>,
    /// It owns a `T`, and is `Send` and `Sync` only if that is.
    owns: PhantomData<T>,
}

struct Slot<T> {
    generation: Generation,
    value: T,
}

impl<T> PerProcess<T> {
    pub const fn new() -> Self {
        Self {
            current: AtomicPtr::new(ptr::null_mut()),
            owns: PhantomData,
        }
    }

    /// The value of this process; `make` makes it at the first use. When two threads race, both
    /// may make one, and one of the two is kept.
    pub fn get(&self, make: impl FnOnce() -> T) -> &T {
        let generation = Generation::current();
        let seen = self.current.load(Ordering::Acquire);
        // SAFETY: slots are only freed by `drop`, which has no `&self` beside it.
        match unsafe { seen.as_ref() } {
            Some(slot) if slot.generation == generation => &slot.value,
            _ => self.replace(
                seen,
                Slot {
                    generation,
                    value: make(),
                },
            ),
        }
    }

    #[cold]
    fn replace(&self, seen: *mut Slot<T>, slot: Slot<T>) -> &T {
        let new = Box::into_raw(Box::new(slot));
        let swapped = self
            .current
            .compare_exchange(seen, new, Ordering::AcqRel, Ordering::Acquire);
        match swapped {
            // The parent's slot stays behind, unused: see the type's description.
            // SAFETY: `new` was just made and is never freed while `self` is borrowed.
            Ok(_) => unsafe { &(*new).value },
            Err(winner) => {
                // SAFETY: `new` was not published; `winner` is another thread's slot of the same
                // generation (the loser saw the same stale slot) and is alive as above.
                unsafe {
                    drop(Box::from_raw(new));
                    &(*winner).value
                }
            }
        }
    }
}

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let slot = *self.current.get_mut();
        if slot.is_null() {
            return;
        }
        // SAFETY: nobody else has a reference (`&mut self`), and the slot came from a Box. One of
        // another generation is the parent's and is left alone.
        unsafe {
            if (*slot).generation == Generation::current() {
                drop(Box::from_raw(slot));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::in_child;
    use super::*;

    #[test]
    fn a_forked_child_makes_its_own_value_and_leaves_the_parents_alone() {
        struct Noisy(u32);
        impl Drop for Noisy {
            fn drop(&mut self) {
                assert_ne!(self.0, 1, "the parent's value was dropped in the child");
            }
        }
        let value = PerProcess::new();
        assert_eq!(value.get(|| Noisy(1)).0, 1);
        assert_eq!(value.get(|| Noisy(2)).0, 1);
        assert!(in_child(|| {
            let own = value.get(|| Noisy(3)).0;
            own == 3 && value.get(|| Noisy(4)).0 == 3
        }));
        std::mem::forget(value);
    }

    #[test]
    fn a_value_whose_lock_was_held_at_the_fork_does_not_block_the_child() {
        let value: PerProcess<std::sync::Mutex<u32>> = PerProcess::new();
        let guard = value.get(Default::default).lock().unwrap();
        assert!(in_child(|| value.get(Default::default).try_lock().is_ok()));
        drop(guard);
    }

    #[test]
    fn threads_that_race_for_the_first_value_get_the_same_one() {
        let value: PerProcess<u32> = PerProcess::new();
        let barrier = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            let address = |n| {
                barrier.wait();
                ptr::from_ref(value.get(|| n)) as usize
            };
            let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || address(n))).collect();
            let seen: Vec<usize> = threads.into_iter().map(|t| t.join().unwrap()).collect();
            assert!(seen.iter().all(|address| *address == seen[0]));
        });
    }
}
