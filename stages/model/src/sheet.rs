//! Numbers row by row, in memory or in a file of their own.

use std::collections::TryReserveError;
use std::io;
use std::path::Path;

use crate::map::{Pages, Plain};

/// Bytes at a multiple of which held numbers begin: the alignment of libtorch's own memory, on which the choice of a
/// vector loop, and with it the last bit of a sum, may depend.
const ALIGNMENT: usize = 64;

/// A dense array of zeros to be written to, in row-major order.
#[derive(Debug)]
pub struct Sheet<T> {
    size: Vec<usize>,
    memory: Memory<T>,
}

#[derive(Debug)]
enum Memory<T> {
    /// The numbers begin at `start`, which is aligned.
    Held {
        values: Vec<T>,
        start: usize,
    },
    Filed(Pages<T>),
}

impl<T: Plain> Sheet<T> {
    /// Zeros in memory.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn held(size: &[usize]) -> Result<Self, TryReserveError> {
        let length: usize = size.iter().product();
        let room = length + ALIGNMENT / size_of::<T>();
        let mut values = Vec::new();
        values.try_reserve_exact(room)?;
        values.resize(room, T::default());
        // The vector never grows, so the address stays.
        let start = values.as_ptr().align_offset(ALIGNMENT).min(room - length);
        Ok(Self { size: size.to_vec(), memory: Memory::Held { values, start } })
    }

    /// Zeros in a new file at `path`, which loses its name at once ([`Pages::zeros`]).
    ///
    /// # Errors
    /// A file that exists already, a disk that is full, a file that cannot be mapped.
    pub fn filed(size: &[usize], path: &Path) -> io::Result<Self> {
        match size.iter().product() {
            0 => Self::held(size).map_err(io::Error::other),
            length => Ok(Self { size: size.to_vec(), memory: Memory::Filed(Pages::zeros(length, path)?) }),
        }
    }

    /// Its sides, the number of rows first.
    pub fn size(&self) -> &[usize] {
        &self.size
    }

    /// Whether it is in a file.
    pub fn is_filed(&self) -> bool {
        matches!(self.memory, Memory::Filed(_))
    }

    /// Its numbers.
    pub fn values(&self) -> &[T] {
        match &self.memory {
            Memory::Held { values, start } => &values[*start..*start + self.size.iter().product::<usize>()],
            Memory::Filed(pages) => pages.values(),
        }
    }

    /// Its numbers, to write to.
    pub fn values_mut(&mut self) -> &mut [T] {
        match &mut self.memory {
            Memory::Held { values, start } => &mut values[*start..*start + self.size.iter().product::<usize>()],
            Memory::Filed(pages) => pages.values_mut(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_in_a_file_is_like_one_in_memory_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet");
        let mut filed = Sheet::<f32>::filed(&[300, 1000], &path).unwrap();
        assert!(filed.is_filed() && !path.exists());
        let mut held = Sheet::<f32>::held(&[300, 1000]).unwrap();
        for sheet in [&mut filed, &mut held] {
            assert_eq!(sheet.values().as_ptr() as usize % ALIGNMENT, 0);
            assert!(sheet.values().iter().all(|value| *value == 0.0));
            sheet.values_mut().iter_mut().enumerate().for_each(|(place, value)| *value = place as f32 / 7.0);
        }
        assert_eq!(filed.values(), held.values());
        assert_eq!(filed.values().len(), 300_000);
        let mut longs = Sheet::<i64>::filed(&[3], &path).unwrap();
        longs.values_mut().copy_from_slice(&[1, -2, i64::MAX]);
        assert_eq!(longs.values(), [1, -2, i64::MAX]);
        std::fs::write(&path, "another's").unwrap();
        assert!(Sheet::<f32>::filed(&[3], &path).is_err(), "a file that exists is not taken over");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(!Sheet::<f32>::filed(&[0, 4], &folder.path().join("none")).unwrap().is_filed());
    }
}
