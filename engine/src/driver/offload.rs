//! Work that blocks (hashing, renaming, locking), on a few threads of its own.
//!
//! Not tokio's: a runtime that ends waits for its blocking threads, and an interrupted run must not wait until
//! ten gigabytes are hashed. These threads end with the process.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// The threads. They end when this is dropped and their jobs are done.
#[derive(Debug, Clone)]
pub(crate) struct Offload(Sender<Job>);

impl Offload {
    pub(crate) fn new(threads: usize) -> Self {
        let (sender, receiver) = channel::<Job>();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..threads.max(1) {
            let receiver = Arc::clone(&receiver);
            std::thread::spawn(move || {
                while let Some(job) = next(&receiver) {
                    // A panic is reported by the job's own end: its answer never comes.
                    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                }
            });
        }
        Self(sender)
    }

    /// Runs `work` on one of the threads; `None` when it panicked.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.send(move || {
            let _ = sender.send(work());
        });
        receiver.await.ok()
    }

    /// Runs `work` on one of the threads; nobody waits for it.
    pub(crate) fn send(&self, work: impl FnOnce() + Send + 'static) {
        let _ = self.0.send(Box::new(work));
    }
}

fn next(receiver: &Mutex<Receiver<Job>>) -> Option<Job> {
    receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
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
