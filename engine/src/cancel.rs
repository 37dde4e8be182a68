//! Ending a run early.

use std::sync::Arc;

use tokio::sync::watch;

/// Tells everything that runs to end. Clones share the same state; a cancel cannot be taken back.
#[derive(Debug, Clone)]
pub struct CancelToken(Arc<watch::Sender<bool>>);

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

impl CancelToken {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Cancels. Any thread may call it, also a signal's; calling it again changes nothing.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Whether it is cancelled.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is cancelled.
    pub async fn cancelled(&self) {
        let mut receiver = self.0.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = receiver.wait_for(|cancelled| *cancelled).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_hears_of_it_once_and_for_all() {
        let token = CancelToken::new();
        let other = token.clone();
        let waiting = tokio::spawn(async move { other.cancelled().await });
        assert!(!token.is_cancelled());
        token.cancel();
        waiting.await.unwrap();
        token.cancel();
        token.cancelled().await;
        assert!(token.is_cancelled());
    }
}
