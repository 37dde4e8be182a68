//! Where encoded rows live: in memory up to a bound, beyond it in mapped files of the stage's scratch folder.
//!
//! The system may write an unused page of a file out, so a data set may be larger than the memory of a stage. The numbers are
//! the same either way.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use contract::fault::Fault;
use contract::worker::protocol::RunRequest;

use crate::fault::Outcome;
use crate::map::Plain;
use crate::sheet::Sheet;

/// Bytes of free memory that are assumed where the machine does not say.
const ASSUMED_FREE: u64 = 4 << 30;

/// How much one tensor may hold in memory, and where a larger one goes.
#[derive(Debug, Clone, Copy)]
pub struct Room<'a> {
    scratch: Option<&'a Path>,
    bound: u64,
}

impl<'a> Room<'a> {
    /// Room that keeps everything in memory.
    pub fn memory() -> Self {
        Self { scratch: None, bound: u64::MAX }
    }

    /// Room that puts a tensor of more than `bound` bytes into a file of this folder.
    pub fn new(scratch: &'a Path, bound: u64) -> Self {
        Self { scratch: Some(scratch), bound }
    }

    /// The room of a stage. One tensor may take a quarter of what `resources.memory` leaves beside the program itself. Without that
    /// limit it may take an eighth of the machine's free memory.
    pub fn of(request: &'a RunRequest) -> Self {
        let status = |file: &str, name: &str| {
            let text = std::fs::read_to_string(file).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib << 10)
        };
        let bound = match request.memory {
            Some(limit) => {
                let own = status("/proc/self/status", "RssAnon:").unwrap_or_default();
                limit.saturating_sub(own).max(limit / 8) / 4
            }
            None => status("/proc/meminfo", "MemAvailable:").unwrap_or(ASSUMED_FREE) / 8,
        };
        Self::new(&request.scratch, bound)
    }

    /// Zeros of this size.
    ///
    /// # Errors
    /// No memory for them, or a disk that is full.
    pub fn zeros<T: Plain>(&self, size: &[usize]) -> Outcome<Sheet<T>> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let bytes = size.iter().product::<usize>() as u64 * size_of::<T>() as u64;
        let Some(scratch) = self.scratch.filter(|_| bytes > self.bound) else {
            return Sheet::held(size).map_err(|error| {
                Fault::error(
                    contract::code!("torch::out_of_memory"),
                    format!("making the tensor of encoded rows: {error}"),
                )
                .help("use a smaller `batch_size` or a smaller model, or a machine with more memory")
            });
        };
        // Several tensors of one stage may go to the same folder.
        let name = format!("encoded-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Sheet::filed(size, &scratch.join(name)).map_err(|error| {
            let text = format!("the encoded rows ({} MiB) cannot be put into a scratch file: {error}", bytes >> 20);
            Fault::error(contract::code!("train::scratch"), text).help(match error.kind() {
                io::ErrorKind::StorageFull => "the disk is full: `pipeline gc` frees what is not needed",
                _ => "raise `resources.memory`, so that they can be held, or see why the project's folder cannot be written to",
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_to_be_held_goes_to_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::new(folder.path(), 4000);
        assert!(!room.zeros::<f32>(&[1000]).unwrap().is_filed());
        assert!(room.zeros::<f32>(&[1001]).unwrap().is_filed());
        assert!(room.zeros::<i64>(&[501]).unwrap().is_filed());
        assert!(!Room::memory().zeros::<f32>(&[1001]).unwrap().is_filed());
        let gone = folder.path().join("gone");
        let fault = Room::new(&gone, 0).zeros::<f32>(&[8]).unwrap_err();
        assert_eq!(fault.code, "train::scratch");
        assert!(fault.help.is_some());
    }
}
