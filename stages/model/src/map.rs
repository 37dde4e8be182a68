//! Files mapped into memory. Beside the vector kernel this is the only file of the crate with `unsafe`.
#![expect(unsafe_code, reason = "mapped files are reached by pointer")]

use std::fs::File;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow::buffer::Buffer;
use memmap2::{Mmap, MmapMut};

/// Maps a file read-only. The buffer and everything sliced from it keep the map alive.
///
/// # Errors
/// What the operating system says.
pub fn map(path: &Path) -> io::Result<Buffer> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(Buffer::from_vec(Vec::<u8>::new()));
    }
    // SAFETY: the file is a blob of the store. It is read-only and only replaced by a rename, so its pages do not change
    // under the map.
    let map = Arc::new(unsafe { Mmap::map(&file)? });
    let pointer = NonNull::new(map.as_ptr().cast_mut()).ok_or_else(|| io::Error::other("an empty map"))?;
    let length = map.len();
    // SAFETY: pointer and length are those of the map, which the buffer owns from here on.
    Ok(unsafe { Buffer::from_custom_allocation(pointer, length, map) })
}

/// A number type for which every pattern of bits is a value.
///
/// # Safety
/// The type has no padding and no invalid patterns, and its alignment divides the size of a page.
pub unsafe trait Plain: Copy + Default {}

// SAFETY: every pattern of 32 bits is a float.
unsafe impl Plain for f32 {}
// SAFETY: every pattern of 64 bits is an integer.
unsafe impl Plain for i64 {}

/// Numbers in a file without a name: the system may write its pages out, and nothing else can reach them.
#[derive(Debug)]
pub struct Pages<T> {
    map: MmapMut,
    numbers: PhantomData<T>,
}

impl<T: Plain> Pages<T> {
    /// Zeros in a new file at `path`, which loses its name at once. `length` is at least 1.
    ///
    /// # Errors
    /// A file that exists already, a disk that is full, a file that cannot be mapped.
    pub fn zeros(length: usize, path: &Path) -> io::Result<Self> {
        let bytes = length * size_of::<T>();
        let mut file = File::options().read(true).write(true).create_new(true).open(path)?;
        std::fs::remove_file(path)?;
        // The zeros are written, not left as a hole: a full disk is an error here, but would kill the process at a page.
        let zeros = vec![0; bytes.min(1 << 20)];
        let mut left = bytes;
        while left > 0 {
            let some = left.min(zeros.len());
            file.write_all(&zeros[..some])?;
            left -= some;
        }
        // SAFETY: the file was made here and has no name, so nothing else writes to it or makes it shorter.
        let map = unsafe { MmapMut::map_mut(&file)? };
        Ok(Self { map, numbers: PhantomData })
    }

    /// The numbers.
    pub fn values(&self) -> &[T] {
        // SAFETY: every pattern of bits is a number, and a map begins at a page, so nothing is left before or after.
        unsafe { self.map.align_to::<T>().1 }
    }

    /// The numbers, to write to.
    pub fn values_mut(&mut self) -> &mut [T] {
        // SAFETY: as above; the map is borrowed exclusively.
        unsafe { self.map.align_to_mut::<T>().1 }
    }
}
