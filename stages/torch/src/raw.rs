//! The one place of this crate with `unsafe`: memory shared between Arrow, libtorch and Rust.
#![expect(unsafe_code, reason = "mapped files and libtorch's buffers are reached by pointer")]

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow::buffer::Buffer;
use memmap2::{Mmap, MmapMut};
use tch::{Device, Kind, TchError, Tensor};

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
    // SAFETY: the file is a blob of the store: read-only, replaced by rename only, so its pages do not change
    // under the map.
    let map = Arc::new(unsafe { Mmap::map(&file)? });
    let pointer = NonNull::new(map.as_ptr().cast_mut()).ok_or_else(|| io::Error::other("an empty map"))?;
    let length = map.len();
    // SAFETY: pointer and length are those of the map, which the buffer owns from here on.
    Ok(unsafe { Buffer::from_custom_allocation(pointer, length, map) })
}

/// A tensor over memory that something else owns, together with its owner.
///
/// The memory may be a read-only map: the tensor must never be written in place. Views of it (`view`, `narrow`,
/// `shallow_clone`) must not outlive this value; everything computed from it is free.
#[derive(Debug)]
pub struct Mapped {
    // Dropped before the owner: fields go in order.
    tensor: Tensor,
    _owner: Buffer,
}

impl Mapped {
    /// A float32 tensor over a buffer, without a copy.
    ///
    /// # Errors
    /// When the buffer is not exactly as long as the shape says, or not aligned.
    pub fn floats(buffer: Buffer, size: &[i64]) -> Result<Self, TchError> {
        let wanted = size.iter().product::<i64>() as usize * size_of::<f32>();
        if buffer.len() != wanted {
            return Err(TchError::Shape(format!("{} bytes for shape {size:?}", buffer.len())));
        }
        if buffer.is_empty() {
            return Ok(Self { tensor: Tensor::f_zeros(size, (Kind::Float, Device::Cpu))?, _owner: buffer });
        }
        if buffer.as_ptr().align_offset(align_of::<f32>()) != 0 {
            return Err(TchError::Shape("the buffer is not aligned".to_owned()));
        }
        // SAFETY: the length was checked, the owner lives as long as the tensor.
        let tensor = unsafe { Tensor::f_from_blob(buffer.as_ptr(), size, &[], Kind::Float, Device::Cpu)? };
        Ok(Self { tensor, _owner: buffer })
    }

    /// The tensor.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }
}

/// A tensor of zeros to be written to, in memory or in a file of its own.
///
/// Views of a file's tensor must not outlive this value; everything computed from it is free.
#[derive(Debug)]
pub struct Sheet {
    // Dropped before its memory: fields go in order.
    tensor: Tensor,
    file: Option<MmapMut>,
}

impl Sheet {
    /// In memory.
    ///
    /// # Errors
    /// When there is not so much.
    pub fn held(size: &[i64], kind: Kind) -> Result<Self, TchError> {
        Ok(Self { tensor: Tensor::f_zeros(size, (kind, Device::Cpu))?, file: None })
    }

    /// In a new file at `path`, which loses its name at once: its pages are the system's to take back, and nobody else can reach
    /// them.
    ///
    /// # Errors
    /// A file that is there already, a disk that is full, a file that cannot be mapped.
    pub fn filed(size: &[i64], kind: Kind, path: &Path) -> io::Result<Self> {
        let length = size.iter().product::<i64>() as usize * kind.elt_size_in_bytes();
        if length == 0 {
            return Self::held(size, kind).map_err(io::Error::other);
        }
        let mut file = File::options().read(true).write(true).create_new(true).open(path)?;
        std::fs::remove_file(path)?;
        // Written, not only made long: a full disk is an error here, and would be the end of the process at a page.
        let zeros = vec![0; length.min(1 << 20)];
        let mut left = length;
        while left > 0 {
            let some = left.min(zeros.len());
            file.write_all(&zeros[..some])?;
            left -= some;
        }
        // SAFETY: the file was made here and has no name, so nobody else writes to it or makes it shorter.
        let mut map = unsafe { MmapMut::map_mut(&file)? };
        // SAFETY: a map begins at a page, is as long as the tensor, and lives as long as it: it is the same value's.
        let tensor = unsafe { Tensor::f_from_blob(map.as_mut_ptr(), size, &[], kind, Device::Cpu) };
        Ok(Self { tensor: tensor.map_err(io::Error::other)?, file: Some(map) })
    }

    /// The tensor.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Whether it is in a file.
    pub fn is_filed(&self) -> bool {
        self.file.is_some()
    }

    /// Its float32 values, to write to.
    ///
    /// # Panics
    /// When it has others.
    pub fn floats_mut(&mut self) -> &mut [f32] {
        floats_mut(&mut self.tensor)
    }

    /// Its int64 values, to write to.
    ///
    /// # Panics
    /// When it has others.
    pub fn longs_mut(&mut self) -> &mut [i64] {
        check(&self.tensor, Kind::Int64);
        if self.tensor.numel() == 0 {
            return &mut [];
        }
        // SAFETY: kind, device and contiguity were checked; nothing else reaches the storage while this is borrowed.
        unsafe { std::slice::from_raw_parts_mut(self.tensor.data_ptr().cast::<i64>(), self.tensor.numel()) }
    }
}

fn check(tensor: &Tensor, kind: Kind) {
    assert!(
        tensor.device() == Device::Cpu && tensor.kind() == kind && tensor.is_contiguous(),
        "only contiguous {kind:?} tensors on the CPU have a slice, this is {tensor:?}"
    );
}

/// The values of a contiguous float32 tensor on the CPU.
///
/// # Panics
/// When it is not one.
pub fn floats(tensor: &Tensor) -> &[f32] {
    check(tensor, Kind::Float);
    if tensor.numel() == 0 {
        return &[];
    }
    // SAFETY: kind, device and contiguity were checked; the storage lives as long as the tensor.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<f32>(), tensor.numel()) }
}

/// The same, to write to. No other slice of the same storage may be alive, and the storage must not be a
/// [`Mapped`] one.
///
/// # Panics
/// When it is not a contiguous float32 tensor on the CPU.
pub fn floats_mut(tensor: &mut Tensor) -> &mut [f32] {
    check(tensor, Kind::Float);
    if tensor.numel() == 0 {
        return &mut [];
    }
    // SAFETY: as above; exclusive by contract, libtorch does not run meanwhile.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<f32>(), tensor.numel()) }
}

/// The values of a contiguous int64 tensor on the CPU.
///
/// # Panics
/// When it is not one.
pub fn longs(tensor: &Tensor) -> &[i64] {
    check(tensor, Kind::Int64);
    if tensor.numel() == 0 {
        return &[];
    }
    // SAFETY: as for `floats`.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<i64>(), tensor.numel()) }
}

/// The bytes of a contiguous tensor on the CPU, in the machine's order.
///
/// # Panics
/// When it is not contiguous or not on the CPU.
pub fn bytes(tensor: &Tensor) -> &[u8] {
    check(tensor, tensor.kind());
    let length = tensor.numel() * tensor.kind().elt_size_in_bytes();
    if length == 0 {
        return &[];
    }
    // SAFETY: as for `floats`; every byte of a dense tensor is initialised.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<u8>(), length) }
}

/// The version of the libtorch that is loaded: (major, minor, patch). `None` for one older than 2.8, which does
/// not say.
pub fn libtorch_version() -> Option<(u8, u8, u8)> {
    unsafe extern "C" {
        fn dlsym(handle: *mut std::ffi::c_void, name: *const std::ffi::c_char) -> *mut std::ffi::c_void;
    }
    #[cfg(target_os = "macos")]
    const DEFAULT: isize = -2;
    #[cfg(not(target_os = "macos"))]
    const DEFAULT: isize = 0;
    // SAFETY: dlsym with a valid name; the symbol, if there, is `uint64_t aoti_torch_abi_version(void)` of
    // torch/csrc/inductor/aoti_torch/c/shim.h (stable C interface): major, minor, patch in the top three bytes.
    let version = unsafe {
        let symbol = dlsym(DEFAULT as *mut std::ffi::c_void, c"aoti_torch_abi_version".as_ptr());
        if symbol.is_null() {
            return None;
        }
        let function: extern "C" fn() -> u64 = std::mem::transmute(symbol);
        function()
    };
    Some(((version >> 56) as u8, (version >> 48) as u8, (version >> 40) as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaded_libtorch_says_its_version() {
        assert_eq!(libtorch_version(), Some((2, 13, 0)));
    }

    #[test]
    fn a_mapped_tensor_shares_the_file_s_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("floats");
        let bytes: Vec<u8> = (0..16).flat_map(|value| (value as f32).to_le_bytes()).collect();
        std::fs::write(&path, bytes).unwrap();
        let buffer = map(&path).unwrap();
        let address = buffer.as_ptr() as usize;
        let mapped = Mapped::floats(buffer, &[4, 4]).unwrap();
        assert_eq!(mapped.tensor().data_ptr() as usize, address);
        assert_eq!(floats(mapped.tensor())[5], 5.0);
    }

    #[test]
    fn a_sheet_in_a_file_is_like_one_in_memory_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet");
        let mut filed = Sheet::filed(&[300, 1000], Kind::Float, &path).unwrap();
        assert!(filed.is_filed() && !path.exists());
        let mut held = Sheet::held(&[300, 1000], Kind::Float).unwrap();
        for sheet in [&mut filed, &mut held] {
            assert!(sheet.floats_mut().iter().all(|value| *value == 0.0));
            sheet.floats_mut().iter_mut().enumerate().for_each(|(place, value)| *value = place as f32 / 7.0);
        }
        let product = |sheet: &Sheet| sheet.tensor().matmul(&sheet.tensor().transpose(0, 1));
        assert_eq!(floats(&product(&filed)), floats(&product(&held)));
        let mut longs = Sheet::filed(&[3], Kind::Int64, &path).unwrap();
        longs.longs_mut().copy_from_slice(&[1, -2, i64::MAX]);
        assert_eq!(self::longs(longs.tensor()), [1, -2, i64::MAX]);
        std::fs::write(&path, "another's").unwrap();
        assert!(Sheet::filed(&[3], Kind::Float, &path).is_err(), "a file that is there is nobody's to take");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(!Sheet::filed(&[0, 4], Kind::Float, &folder.path().join("none")).unwrap().is_filed());
    }

    #[test]
    fn a_wrong_length_is_refused() {
        assert!(Mapped::floats(Buffer::from_vec(vec![0f32; 3]), &[2, 2]).is_err());
    }
}
