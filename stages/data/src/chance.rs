//! Random numbers of our own definition.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Random numbers that stay the same across versions of any crate: the ChaCha stream by its definition, and our own shuffle.
pub struct Chance(ChaCha12Rng);

impl Chance {
    /// The stream of a purpose and a seed.
    pub fn new(purpose: [u8; 16], seed: u64) -> Self {
        let mut key = [0; 32];
        key[..16].copy_from_slice(&purpose);
        key[24..].copy_from_slice(&seed.to_le_bytes());
        Self(ChaCha12Rng::from_seed(key))
    }

    /// A whole number below `bound`, all equally likely (D. Lemire, Fast random integer generation in an interval, 2019).
    pub fn below(&mut self, bound: u64) -> u64 {
        loop {
            let product = u128::from(self.0.next_u64()) * u128::from(bound);
            if product as u64 >= bound.wrapping_neg() % bound {
                return (product >> 64) as u64;
            }
        }
    }

    /// Fisher and Yates, from the end.
    pub fn shuffle<T>(&mut self, rows: &mut [T]) {
        for last in (1..rows.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            rows.swap(last, other);
        }
    }
}
