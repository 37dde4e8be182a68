//! A hash that is the same on every machine and in every version: stored sketches depend on it.

/// Of a 64-bit word (the finaliser of splitmix64, Steele, Lea and Flood 2014).
pub fn word(value: u64) -> u64 {
    let mut x = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Of bytes: words folded by 128-bit products (as in wyhash), the length last.
pub fn bytes(data: &[u8]) -> u64 {
    let fold = |state: u64, input: u64| {
        let product = u128::from(state ^ input ^ 0xa076_1d64_78bd_642f) * u128::from(0xe703_7ed1_a0b4_28db_u64);
        (product as u64) ^ ((product >> 64) as u64)
    };
    let mut state = 0x8ebc_6af0_9c88_c6e3;
    let mut chunks = data.chunks_exact(8);
    for chunk in &mut chunks {
        let mut one = [0; 8];
        one.copy_from_slice(chunk);
        state = fold(state, u64::from_le_bytes(one));
    }
    let mut one = [0; 8];
    one[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    word(fold(fold(state, u64::from_le_bytes(one)), data.len() as u64))
}

/// Of a number: equal numbers have equal hashes, -0 and 0 included.
pub fn number(value: f64) -> u64 {
    word((value + 0.0).to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_pinned_and_differ() {
        // The first output of splitmix64 from the state 0, by its authors.
        assert_eq!(word(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(number(0.0), number(-0.0));
        let all: std::collections::BTreeSet<u64> =
            (0..1000u32).map(|i| bytes(i.to_string().as_bytes())).chain([bytes(b""), bytes(b"\0")]).collect();
        assert_eq!(all.len(), 1002);
    }
}
