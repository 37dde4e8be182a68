//! A list that only grows and never moves an entry, for stages that join a run after its start.
//!
//! Readers hold references to entries while the loop adds more. A `Vec` under a lock would move its
//! entries as it grows.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Number of entries in the first chunk. Every chunk is twice as long as the one before.
const FIRST_LENGTH: usize = 32;

/// Number of chunks. Together they hold 2^32 - 32 entries, about as many as there are stage ids.
const CHUNKS: usize = 27;

/// The list. Any thread may read it; only the loop of the run adds to it.
pub(crate) struct Growing<T> {
    chunks: [OnceLock<Box<[OnceLock<T>]>>; CHUNKS],
    len: AtomicUsize,
}

impl<T> Default for Growing<T> {
    fn default() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS], len: AtomicUsize::new(0) }
    }
}

/// The chunk of a position, and the position within it.
fn place(at: usize) -> (usize, usize) {
    let chunk = (at / FIRST_LENGTH + 1).ilog2() as usize;
    (chunk, at - FIRST_LENGTH * ((1 << chunk) - 1))
}

impl<T> Growing<T> {
    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// The entry at a position.
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        let (chunk, within) = place(at);
        self.chunks.get(chunk)?.get()?.get(within)?.get()
    }

    /// Adds an entry at the end. Two calls must not overlap: both would write to the same place.
    pub(crate) fn push(&self, value: T) {
        let at = self.len();
        let (chunk, within) = place(at);
        let slots = self.chunks[chunk].get_or_init(|| (0..FIRST_LENGTH << chunk).map(|_| OnceLock::new()).collect());
        // The length last, with `Release`: a reader that sees it also sees the entry.
        if slots[within].set(value).is_ok() {
            self.len.store(at + 1, Ordering::Release);
        }
    }

    /// All entries, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len()).map_while(|at| self.get(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stay_where_they_are() {
        let list = Growing::default();
        list.push(0_usize);
        let first = std::ptr::from_ref(list.get(0).unwrap());
        (1..1000).for_each(|value| list.push(value));
        assert_eq!(list.len(), 1000);
        assert!(list.iter().copied().eq(0..1000));
        assert_eq!(first, std::ptr::from_ref(list.get(0).unwrap()));
        assert_eq!(list.get(1000), None);
        assert_eq!((place(31), place(32), place(95), place(96)), ((0, 31), (1, 0), (1, 63), (2, 0)));
    }
}
