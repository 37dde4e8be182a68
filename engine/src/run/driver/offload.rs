//! Work that blocks (hashing, renaming, locking), on a few threads of its own.
//!
//! These are not tokio's blocking threads: a runtime waits for those when it ends, and an
//! interrupted run must not wait until ten gigabytes are hashed. These threads end with the
//! process.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// The threads. They end when this is dropped and the waiting jobs are done.
#[derive(Debug)]
pub(crate) struct Offload(Arc<Waiting>);

/// The waiting jobs. Not a channel: with several threads behind one receiver, each job would wake
/// two of them.
#[derive(Default)]
struct Waiting {
    jobs: Mutex<Jobs>,
    more: Condvar,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    closed: bool,
}

impl Offload {
    pub(crate) fn new(threads: usize) -> Self {
        let waiting = Arc::new(Waiting::default());
        for _ in 0..threads.max(1) {
            let waiting = Arc::clone(&waiting);
            std::thread::spawn(move || {
                while let Some(job) = waiting.next() {
                    // The thread survives a panic. The caller notices it, because the answer is
                    // dropped.
                    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                }
            });
        }
        Self(waiting)
    }

    /// Runs `work` on one of the threads; `None` when it panicked.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.send(move || {
            let _ = sender.send(work());
        });
        receiver.await.ok()
    }

    /// Runs `work` on one of the threads, without a way to wait for it.
    pub(crate) fn send(&self, work: impl FnOnce() + Send + 'static) {
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner).waiting.push_back(Box::new(work));
        self.0.more.notify_one();
    }
}

impl Drop for Offload {
    fn drop(&mut self) {
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.0.more.notify_all();
    }
}

impl Waiting {
    fn next(&self) -> Option<Job> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(job) = jobs.waiting.pop_front() {
                return Some(job);
            }
            if jobs.closed {
                return None;
            }
            jobs = self.more.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiting")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_comes_back_and_a_panic_is_nothing() {
        let offload = Offload::new(2);
        assert_eq!(offload.run(|| 1 + 1).await, Some(2));
        assert_eq!(offload.run(|| -> u8 { panic!("no") }).await, None);
        assert_eq!(offload.run(|| 3).await, Some(3));
    }
}
