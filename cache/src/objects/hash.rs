//! BLAKE3 of files, on all cores.
//!
//! Large files are read in pieces by several threads and joined as the subtrees of one BLAKE3 tree.
//! This is as fast as hashing a memory map. Unlike a map it survives a file that is truncated while
//! it is read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use blake3::hazmat::{ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

use crate::Digest;

/// Number of bytes that one thread reads at a time: a power of two of BLAKE3's 1 KiB chunks.
const PIECE: u64 = 512 * 1024;

/// The digest of the first `length` bytes. A shorter file is an `UnexpectedEof`.
pub(crate) fn hash_file(file: &File, length: u64) -> io::Result<Digest> {
    if length <= PIECE {
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, 0)?;
        return Ok(Digest::of(&bytes));
    }
    let left_length = left_subtree_len(length);
    let (left, right) =
        rayon_core::join(|| subtree(file, 0, left_length), || subtree(file, left_length, length - left_length));
    Ok(Digest::from_bytes(*merge_subtrees_root(&left?, &right?, Mode::Hash).as_bytes()))
}

fn subtree(file: &File, offset: u64, length: u64) -> io::Result<ChainingValue> {
    if length <= PIECE {
        return READ.with_borrow_mut(|buffer| {
            buffer.resize(PIECE as usize, 0);
            let bytes = &mut buffer[..length as usize];
            file.read_exact_at(bytes, offset)?;
            Ok(blake3::Hasher::new().set_input_offset(offset).update(bytes).finalize_non_root())
        });
    }
    let left_length = left_subtree_len(length);
    let (left, right) = rayon_core::join(
        || subtree(file, offset, left_length),
        || subtree(file, offset + left_length, length - left_length),
    );
    Ok(merge_subtrees_non_root(&left?, &right?, Mode::Hash))
}

thread_local! {
    /// Each hashing thread keeps its buffer.
    static READ: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn pieces_give_what_blake3_gives_in_one_go() {
        let all: Vec<u8> = (0..4 * PIECE + 12345).map(|n| ((n * n) >> 7) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&all).unwrap();
        for length in [0, 1, 1024, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 1, 3 * PIECE, all.len() as u64] {
            assert_eq!(hash_file(&file, length).unwrap(), Digest::of(&all[..length as usize]), "{length}");
        }
        assert_eq!(hash_file(&file, all.len() as u64 + 1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
