//! Small answers by digest: the hello of a worker, the result of an inference.

use crate::{Digest, Store, StoreError};

impl Store {
    /// The answer remembered for a question, if any. Memos can be lost at any time; they are never
    /// wrong.
    pub fn memo_get(&self, key: &Digest) -> Option<Vec<u8>> {
        self.memos.get(key).ok().flatten()
    }

    /// Remembers an answer. Batched: others see it after [`Store::flush`].
    pub fn memo_put(&self, key: &Digest, value: &[u8]) -> Result<(), StoreError> {
        self.memos.queue(key, value)
    }
}
