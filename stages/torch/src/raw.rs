//! The one place of this crate with `unsafe`: memory shared between Arrow, libtorch and Rust.
#![expect(unsafe_code, reason = "mapped files and libtorch's buffers are reached by pointer")]

use std::fs::File;
use std::io;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow::buffer::Buffer;
use memmap2::Mmap;
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
    fn a_wrong_length_is_refused() {
        assert!(Mapped::floats(Buffer::from_vec(vec![0f32; 3]), &[2, 2]).is_err());
    }
}
