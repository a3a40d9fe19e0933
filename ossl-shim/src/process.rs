//! What a library inside other people's processes must know of them: forks, privileges, and memory
//! for secrets.

use std::ffi::CStr;
use std::fmt::Write as _;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

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
        let word = unsafe { &*page.0.as_ptr().cast::<AtomicU64>() };
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

/// Whether the program runs with rights that its user does not have (set-user-ID, capabilities):
/// then its environment is not to be trusted. getauxval(3), `AT_SECURE`.
pub fn is_privileged() -> bool {
    // SAFETY: getauxval has no preconditions.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Writes to standard error without the lock that `std::io::stderr` has, which a thread of the
/// parent may have held at a fork. A closed or full standard error is ignored.
pub fn write_stderr(text: &str) {
    // SAFETY: the buffer has the given length.
    unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
}

/// Gives `text` to syslog(3) under the identity of the program.
pub fn write_syslog(level: SyslogLevel, text: &str) {
    let mut message = String::with_capacity(text.len() + 1);
    for part in text.split('\0') {
        let _ = message.write_str(part);
    }
    message.push('\0');
    let priority = libc::LOG_USER
        | match level {
            SyslogLevel::Error => libc::LOG_ERR,
            SyslogLevel::Warning => libc::LOG_WARNING,
            SyslogLevel::Info => libc::LOG_INFO,
            SyslogLevel::Debug => libc::LOG_DEBUG,
        };
    let format: &CStr = c"%s";
    // SAFETY: a format with one string argument, and a NUL-terminated string for it.
    unsafe { libc::syslog(priority, format.as_ptr(), message.as_ptr()) };
}

/// syslog(3) severities that we use.
#[derive(Clone, Copy, Debug)]
pub enum SyslogLevel {
    Error,
    Warning,
    Info,
    Debug,
}

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
            unsafe { std::slice::from_raw_parts_mut(secret.page.0.as_ptr(), Self::CAPACITY) };
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
        unsafe { std::slice::from_raw_parts(self.page.0.as_ptr(), self.length) }
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        for offset in 0..Self::CAPACITY {
            // SAFETY: within the page. Volatile, so that clearing memory that is about to go is
            // not optimised away.
            unsafe { self.page.0.as_ptr().add(offset).write_volatile(0) };
        }
        self.page.unmap();
    }
}

/// A private anonymous mapping of one page, zeroed.
struct Page(NonNull<u8>);

// SAFETY: it is an address; its users say how the memory may be used.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

impl Page {
    const SIZE: usize = 4096;

    fn map() -> Option<Self> {
        // SAFETY: a new anonymous mapping touches nothing else.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                Self::SIZE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return None;
        }
        NonNull::new(address.cast()).map(Self)
    }

    fn wiped_on_fork() -> Option<Self> {
        let page = Self::map()?;
        if page.advise(libc::MADV_WIPEONFORK) {
            return Some(page);
        }
        page.unmap();
        None
    }

    fn for_secret() -> Option<Self> {
        let page = Self::map()?;
        page.advise(libc::MADV_DONTDUMP);
        // Where RLIMIT_MEMLOCK does not allow it, the PIN works all the same.
        // SAFETY: the page is mapped.
        unsafe { libc::mlock(page.0.as_ptr().cast(), Self::SIZE) };
        Some(page)
    }

    fn advise(&self, advice: libc::c_int) -> bool {
        // SAFETY: the page is mapped and ours.
        unsafe { libc::madvise(self.0.as_ptr().cast(), Self::SIZE, advice) == 0 }
    }

    fn unmap(&self) {
        // SAFETY: the page is mapped and nobody uses it any more (callers are `drop` and a failed
        // constructor).
        unsafe { libc::munmap(self.0.as_ptr().cast(), Self::SIZE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `check` in a forked child and tells whether it held there.
    fn in_child(check: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child only computes and ends by _exit.
        unsafe {
            let pid = libc::fork();
            assert!(pid >= 0, "fork");
            if pid == 0 {
                libc::_exit(if check() { 0 } else { 1 });
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
        }
    }

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

    #[test]
    fn secrets_are_locked_left_out_of_dumps_and_bounded() {
        let secret = Secret::copied(b"123456").unwrap();
        assert_eq!(&*secret, b"123456");
        assert!(Secret::copied(&[1; Secret::CAPACITY + 1]).is_none());
        let address = format!("{:x}", secret.as_ptr() as usize);
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let entry = maps.split_once(&address).expect("its mapping").1;
        let flags = entry
            .lines()
            .find(|line| line.starts_with("VmFlags:"))
            .unwrap();
        assert!(flags.contains(" dd"), "dumped: {flags}");
        assert!(flags.contains(" lo"), "not locked: {flags}");
    }

    #[test]
    fn a_test_is_not_privileged() {
        assert!(!is_privileged());
    }
}
