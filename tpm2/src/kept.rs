//! What is kept between tasks.

use std::sync::Arc;

use tpm2_abi::{Area, Description, Hierarchy, Saved, Source};

use crate::primary::Kind;

/// What a process knows of a TPM. The TPM refuses what is no longer true.
pub struct Kept {
    pub keys: Recent<Source, Known>,
    pub primaries: Recent<(Hierarchy, Kind), Saved>,
    /// The kind of primary key under which a key was loaded last.
    pub fitting: Option<Kind>,
    pub description: Option<Description>,
}

/// A key that was loaded once.
#[derive(Clone)]
pub struct Known {
    /// Loading this is all it takes from now on.
    pub saved: Saved,
    pub area: Arc<Area>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            keys: Recent::new(128),
            primaries: Recent::new(16),
            fitting: None,
            description: None,
        }
    }
}

/// The values that were used last.
pub struct Recent<K, V> {
    /// The last one at the end.
    entries: Vec<(K, V)>,
    most: usize,
}

impl<K: PartialEq, V> Recent<K, V> {
    pub const fn new(most: usize) -> Self {
        Self {
            entries: Vec::new(),
            most,
        }
    }

    pub fn get(&mut self, key: &K) -> Option<&V> {
        let at = self.entries.iter().rposition(|(known, _)| known == key)?;
        self.entries[at..].rotate_left(1);
        self.entries.last().map(|(_, value)| value)
    }

    /// Adds a value, and gives back what had to make room.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let replaced = self.remove(&key);
        self.entries.push((key, value));
        match self.entries.len() > self.most {
            true => Some(self.entries.remove(0).1),
            false => replaced,
        }
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.entries.iter().position(|(known, _)| known == key)?;
        Some(self.entries.remove(at).1)
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.iter().map(|(key, _)| key)
    }

    /// Forgets all, and gives it back.
    pub fn drain(&mut self) -> impl Iterator<Item = V> {
        self.entries.drain(..).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_the_longest_time_goes_first() {
        let mut recent = Recent::new(2);
        assert_eq!(recent.insert("a", 1), None);
        assert_eq!(recent.insert("b", 2), None);
        assert_eq!(recent.get(&"a"), Some(&1));
        assert_eq!(recent.insert("c", 3), Some(2));
        assert_eq!(recent.get(&"b"), None);
        assert_eq!(recent.insert("a", 4), Some(1));
        assert_eq!(recent.remove(&"a"), Some(4));
        assert!(recent.drain().eq([3]));
    }
}
