//! Work over an index range on several threads, results in order. The number of threads never changes a result.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `f(0), f(1) ... f(count - 1)`, at most `threads` at a time.
pub fn map<T: Send>(count: usize, threads: usize, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = threads.clamp(1, count.max(1));
    if threads == 1 {
        return (0..count).map(f).collect();
    }
    let next = AtomicUsize::new(0);
    let slots: Vec<Mutex<Option<T>>> = (0..count).map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(slot) = slots.get(index) else { break };
                    let value = f(index);
                    if let Ok(mut slot) = slot.lock() {
                        *slot = Some(value);
                    }
                }
            });
        }
    });
    // A thread that panicked has ended the scope with that panic: every slot is filled here.
    slots.into_iter().filter_map(|slot| slot.into_inner().ok().flatten()).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_are_in_order_for_any_number_of_threads() {
        for threads in [1, 2, 7, 64] {
            let squares = super::map(33, threads, |index| index * index);
            assert_eq!(squares, (0..33).map(|index| index * index).collect::<Vec<_>>());
        }
        assert!(super::map(0, 4, |index| index).is_empty());
    }
}
