//! The hash that chooses places for values.

/// A hash of text that is the same on every machine and in every version: FNV-1a over 64 bits (Fowler, Noll and Vo), its bits
/// mixed by the last step of MurmurHash3 (Appleby), for FNV's low bits alone are poor.
pub fn hash(text: &str) -> u64 {
    let mut hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_pinned() {
        // FNV-1a of the empty text is its offset; the rest is Murmur's mixer. Models depend on these numbers.
        assert_eq!(hash(""), 0xefd0_1f60_ba99_2926);
        assert_ne!(hash("ab"), hash("ba"));
    }
}
