//! Random numbers that are ours: independent of libtorch's process-wide generator, and exactly saveable.
//!
//! ChaCha with 8 rounds; the stream of values for a seed is fixed by the algorithm. Every use has its own stream, so
//! that drawing more in one place never moves another.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// What random numbers are drawn for. The number is the ChaCha stream and must never change for a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// First weights.
    Weights = 1,
    /// Order of the rows.
    Order = 2,
    /// Dropout masks.
    Dropout = 3,
    /// First weights of the control net that `compress` trains.
    Control = 4,
    /// Anything `compress` draws.
    Compress = 5,
    /// What encoders draw when they are fitted.
    Encoders = 6,
}

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Random {
    inner: ChaCha8Rng,
}

/// Where a [`Random`] stands. JSON holds numbers up to 2⁵³ safely, so the wide fields are text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RandomState {
    seed: String,
    stream: u64,
    word: String,
}

impl Random {
    /// The stream of a seed for one purpose, at its beginning.
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        let mut inner = ChaCha8Rng::seed_from_u64(seed);
        inner.set_stream(purpose as u64);
        Self { inner }
    }

    /// Where the stream stands.
    pub fn state(&self) -> RandomState {
        let seed = self.inner.get_seed().iter().map(|byte| format!("{byte:02x}")).collect();
        RandomState { seed, stream: self.inner.get_stream(), word: self.inner.get_word_pos().to_string() }
    }

    /// A stream that goes on where another one stood; `None` when the state is not one of ours.
    pub fn resume(state: &RandomState) -> Option<Self> {
        let mut seed = [0u8; 32];
        if state.seed.len() != 64 || !state.seed.is_ascii() {
            return None;
        }
        for (byte, pair) in seed.iter_mut().zip(state.seed.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        let mut inner = ChaCha8Rng::from_seed(seed);
        inner.set_stream(state.stream);
        inner.set_word_pos(state.word.parse().ok()?);
        Some(Self { inner })
    }

    /// Uniform in [0, 1), 24 random bits.
    pub fn unit(&mut self) -> f32 {
        (self.inner.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Fills with values uniform in [−bound, bound).
    pub fn fill_uniform(&mut self, out: &mut [f32], bound: f64) {
        let bound = bound as f32;
        for value in out {
            *value = (self.unit() * 2.0 - 1.0) * bound;
        }
    }

    /// Uniform in 0..n without bias (Lemire 2019, "Fast random integer generation in an interval").
    pub fn below(&mut self, n: u32) -> u32 {
        debug_assert!(n > 0);
        let mut product = u64::from(self.inner.next_u32()) * u64::from(n);
        if (product as u32) < n {
            let threshold = n.wrapping_neg() % n;
            while (product as u32) < threshold {
                product = u64::from(self.inner.next_u32()) * u64::from(n);
            }
        }
        (product >> 32) as u32
    }

    /// Shuffles in place (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u32 + 1) as usize);
        }
    }

    /// Fills with 0 (probability `p`, to 1/65,536) or `1 / (1 − p)`: a mask for inverted dropout.
    pub fn fill_mask(&mut self, out: &mut [f32], p: f64) {
        let threshold = (p * 65_536.0).round() as u32;
        let keep = (1.0 / (1.0 - p)) as f32;
        let mut bits = [0u8; 1024];
        for part in out.chunks_mut(512) {
            self.inner.fill_bytes(&mut bits[..part.len() * 2]);
            for (value, pair) in part.iter_mut().zip(bits.chunks_exact(2)) {
                let draw = u32::from(u16::from_le_bytes([pair[0], pair[1]]));
                *value = if draw < threshold { 0.0 } else { keep };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_stream_goes_on_exactly() {
        for skip in [0usize, 1, 7, 64, 65, 1000] {
            let mut straight = Random::new(7, Purpose::Dropout);
            for _ in 0..skip {
                straight.unit();
            }
            let state = serde_json::from_str(&serde_json::to_string(&straight.state()).unwrap()).unwrap();
            let mut resumed = Random::resume(&state).unwrap();
            for _ in 0..200 {
                assert_eq!(straight.unit(), resumed.unit());
            }
        }
    }

    #[test]
    fn purposes_do_not_share_numbers() {
        let mut weights = Random::new(7, Purpose::Weights);
        let mut order = Random::new(7, Purpose::Order);
        assert_ne!(
            (0..4).map(|_| weights.below(1 << 30)).collect::<Vec<_>>(),
            (0..4).map(|_| order.below(1 << 30)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn shuffles_are_permutations_and_fair() {
        let mut counts = [[0u32; 4]; 4];
        let mut random = Random::new(1, Purpose::Order);
        for _ in 0..4000 {
            let mut items = [0usize, 1, 2, 3];
            random.shuffle(&mut items);
            for (place, item) in items.iter().enumerate() {
                counts[place][*item] += 1;
            }
        }
        assert!(counts.iter().flatten().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn masks_keep_the_mean() {
        let mut mask = vec![0f32; 100_001];
        Random::new(3, Purpose::Dropout).fill_mask(&mut mask, 0.3);
        let mean = mask.iter().map(|value| f64::from(*value)).sum::<f64>() / mask.len() as f64;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!(mask.iter().all(|value| *value == 0.0 || (*value - 1.0 / 0.7).abs() < 1e-6));
    }
}
