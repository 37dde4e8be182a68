//! Memory shared between libtorch and Rust.
#![expect(unsafe_code, reason = "libtorch's buffers and lent memory are reached by pointer")]

use model::encode::Encoded;
use model::target::Targets;
use tch::{Device, Kind, TchError, Tensor};

/// An owner of numbers that a tensor can be laid over.
///
/// # Safety
/// The numbers are contiguous, of the kind and size that `numbers` returns, and stay at their address for as long as the owner
/// lives, also when the owner is moved.
pub unsafe trait Owner {
    /// Where the numbers begin, their type, and the sides of the array.
    fn numbers(&self) -> (*const u8, Kind, Vec<i64>);
}

fn sides(size: &[usize]) -> Vec<i64> {
    size.iter().map(|side| *side as i64).collect()
}

// SAFETY: the numbers lie on the heap or in a map, never inside the value itself.
unsafe impl Owner for Encoded {
    fn numbers(&self) -> (*const u8, Kind, Vec<i64>) {
        (self.values().as_ptr().cast(), Kind::Float, sides(self.size()))
    }
}

// SAFETY: as above.
unsafe impl Owner for Targets {
    fn numbers(&self) -> (*const u8, Kind, Vec<i64>) {
        match self {
            Self::Classes(sheet) => (sheet.values().as_ptr().cast(), Kind::Int64, sides(sheet.size())),
            Self::Numbers(sheet) => (sheet.values().as_ptr().cast(), Kind::Float, sides(sheet.size())),
        }
    }
}

/// A tensor over memory that something else owns, together with its owner.
///
/// The memory may be a read-only map: the tensor must never be written in place. Views of it (`view`, `narrow`,
/// `shallow_clone`) must not outlive this value; everything computed from it is free.
#[derive(Debug)]
pub struct Lent<O> {
    // Fields are dropped in order: the tensor goes before the memory it lies over.
    tensor: Tensor,
    owner: O,
}

impl<O: Owner> Lent<O> {
    /// A tensor on the CPU over the owner's numbers, without a copy.
    ///
    /// # Errors
    /// libtorch's.
    pub fn new(owner: O) -> Result<Self, TchError> {
        let (pointer, kind, size) = owner.numbers();
        let tensor = if size.iter().product::<i64>() == 0 {
            Tensor::f_zeros(&size, (kind, Device::Cpu))?
        } else {
            // SAFETY: `Owner` promises as many numbers of this kind, and the owner lives as long as the tensor.
            unsafe { Tensor::f_from_blob(pointer, &size, &[], kind, Device::Cpu)? }
        };
        Ok(Self { tensor, owner })
    }

    /// The tensor.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The owner of the numbers.
    pub fn owner(&self) -> &O {
        &self.owner
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
/// [`Lent`] one.
///
/// # Panics
/// When it is not a contiguous float32 tensor on the CPU.
pub fn floats_mut(tensor: &mut Tensor) -> &mut [f32] {
    check(tensor, Kind::Float);
    if tensor.numel() == 0 {
        return &mut [];
    }
    // SAFETY: as above; exclusive by contract, and libtorch does not run while this is borrowed.
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
    use model::dataset::Dataset;
    use model::room::Room;

    use super::*;
    use crate::tests::harness::{House, images};

    #[test]
    fn the_loaded_libtorch_says_its_version() {
        assert_eq!(libtorch_version(), Some((2, 13, 0)));
    }

    #[test]
    fn a_mapped_tensor_shares_the_file_s_memory() {
        let house = House::new();
        let image = images("image", &[1, 4, 4], (0..32).map(|value| value as f32).collect());
        let data = Dataset::open(&house.data("images", &[image]), "images").unwrap();
        let packed = data.packed("image").unwrap();
        let address = packed.values().as_ptr() as usize;
        let lent = Lent::new(Encoded::Mapped(packed)).unwrap();
        assert_eq!(lent.tensor().data_ptr() as usize, address);
        assert_eq!(lent.tensor().size(), [2, 1, 4, 4]);
        assert_eq!(floats(lent.tensor())[5], 5.0);
    }

    #[test]
    fn a_tensor_over_a_sheet_computes_the_same_in_memory_and_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let product = |room: Room<'_>| {
            let mut sheet = room.zeros::<f32>(&[300, 1000]).unwrap();
            sheet.values_mut().iter_mut().enumerate().for_each(|(place, value)| *value = place as f32 / 7.0);
            let lent = Lent::new(Encoded::Owned(sheet)).unwrap();
            floats(&lent.tensor().matmul(&lent.tensor().transpose(0, 1))).to_vec()
        };
        assert_eq!(product(Room::memory()), product(Room::new(folder.path(), 0)));
    }
}
