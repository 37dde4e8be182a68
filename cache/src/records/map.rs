//! Read-only memory maps of the store's own logs: the one place of this crate that needs `unsafe`.

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// Maps the first `length` bytes of a file, read-only.
///
/// Only packed logs are mapped. They are never truncated below an entry that was valid once, and compaction
/// replaces the file instead of changing it, so a mapped entry stays readable.
#[expect(unsafe_code, reason = "mapping a file is unsafe because somebody else may truncate it")]
pub(crate) fn map(file: &File, length: usize) -> io::Result<Mmap> {
    // SAFETY: the bytes are only read, as plain bytes, and only inside entries found valid under the log's
    // lock; every writer truncates behind the last valid entry only (see `log`).
    unsafe { memmap2::MmapOptions::new().len(length).map(file) }
}
