//! What a process and its forked children tell each other.

use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::page::Page;

/// A set of numbers that a process, from its first use of the set on, shares with the children that it
/// forks, and they with theirs: what one adds, all see. When there is no more room, a new number
/// replaces an old one.
pub struct FamilySet(OnceLock<&'static [AtomicU64; CAPACITY]>);

const CAPACITY: usize = Page::SIZE / size_of::<AtomicU64>();

impl FamilySet {
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    pub fn insert(&self, value: NonZeroU64) {
        let value = value.get();
        let take = |place: &AtomicU64| {
            let taken = place.compare_exchange(0, value, Ordering::AcqRel, Ordering::Acquire);
            taken.map_or_else(|there| there == value, |_| true)
        };
        let places = self.places();
        if !places.iter().any(take) {
            places[value as usize % CAPACITY].store(value, Ordering::Release);
        }
    }

    pub fn contains(&self, value: NonZeroU64) -> bool {
        let mut places = self.places().iter();
        places.any(|place| place.load(Ordering::Acquire) == value.get())
    }

    fn places(&self) -> &'static [AtomicU64; CAPACITY] {
        self.0.get_or_init(|| match Page::shared() {
            // SAFETY: the page is zeroed, aligned, as large as the array, and mapped for good; nothing
            // else refers to it.
            Some(page) => unsafe { &*page.address().cast() },
            // Children inherit what was there when they were forked.
            None => Box::leak(Box::new([const { AtomicU64::new(0) }; CAPACITY])),
        })
    }
}

impl Default for FamilySet {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::super::in_child;
    use super::*;

    fn number(value: u64) -> NonZeroU64 {
        NonZeroU64::new(value).unwrap()
    }

    #[test]
    fn parents_children_and_siblings_know_of_each_other() {
        let set = FamilySet::new();
        set.insert(number(7));
        assert!(in_child(|| {
            set.insert(number(8));
            set.contains(number(7)) && in_child(|| set.contains(number(8)))
        }));
        assert!(set.contains(number(8)));
        assert!(in_child(
            || set.contains(number(8)) && !set.contains(number(9))
        ));
    }

    #[test]
    fn a_full_set_takes_the_newest() {
        let set = FamilySet::new();
        let last = 3 * CAPACITY as u64;
        for value in 1..=last {
            set.insert(number(value));
            assert!(set.contains(number(value)));
        }
        set.insert(number(last));
        assert!(set.contains(number(last)));
    }
}
