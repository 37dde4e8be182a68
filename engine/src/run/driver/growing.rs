//! A list that only grows, and whose entries stay where they are: what joins a run that is already going.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Entries of the first chunk; every chunk is twice as long as the one before.
const FIRST: usize = 32;

/// Read from everywhere, pushed to by one (the loop that drives the run).
pub(crate) struct Growing<T> {
    chunks: [OnceLock<Box<[OnceLock<T>]>>; 27],
    len: AtomicUsize,
}

impl<T> Default for Growing<T> {
    fn default() -> Self {
        Self { chunks: [const { OnceLock::new() }; 27], len: AtomicUsize::new(0) }
    }
}

/// Chunk, and position in it.
fn place(at: usize) -> (usize, usize) {
    let chunk = (at / FIRST + 1).ilog2() as usize;
    (chunk, at - FIRST * ((1 << chunk) - 1))
}

impl<T> Growing<T> {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// The entry at a position.
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        let (chunk, within) = place(at);
        self.chunks.get(chunk)?.get()?.get(within)?.get()
    }

    /// Adds an entry at the end. Only one may do so at a time.
    pub(crate) fn push(&self, value: T) {
        let at = self.len();
        let (chunk, within) = place(at);
        let slots = self.chunks[chunk].get_or_init(|| (0..FIRST << chunk).map(|_| OnceLock::new()).collect());
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
