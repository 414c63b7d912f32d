//! Random numbers that are a pure function of (seed, number, use): any row can be made again without the rows before it.

/// An odd constant near 2^64 / golden ratio: neighbouring inputs land far apart.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A seed, mixed once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed(u64);

impl Seed {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(STEP)))
    }

    /// Numbers for one use (a column): independent of those for other uses.
    pub(crate) fn stream(self, usage: u64) -> Stream {
        Stream(mix(self.0 ^ usage.wrapping_mul(STEP)))
    }
}

/// Numbers for one use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream(u64);

impl Stream {
    /// The n-th one, uniform over 64 bits.
    #[inline]
    pub(crate) fn at(self, n: u64) -> u64 {
        mix(self.0 ^ n.wrapping_mul(STEP))
    }
}

/// The finishing steps of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
#[inline]
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Scales 64 random bits to `0..bound` (Lemire's multiply and shift; the bias is below 2^-40 for our bounds).
#[inline]
pub(crate) fn below(bits: u64, bound: u64) -> u64 {
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}

/// Scales 64 random bits to `0.0..1.0`.
#[inline]
pub(crate) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// Random lower-case letters to cut texts from: a slice costs nothing, a letter at a time would.
#[derive(Debug)]
pub(crate) struct Letters(String);

impl Letters {
    const LENGTH: usize = 1 << 16;
    /// Longest text.
    pub(crate) const TEXT_MAX: usize = 1 << 12;

    pub(crate) fn new(seed: Seed) -> Self {
        let stream = seed.stream(u64::MAX);
        let letter = |n| char::from(b'a' + below(stream.at(n), 26) as u8);
        Self((0..(Self::LENGTH + Self::TEXT_MAX) as u64).map(letter).collect())
    }

    /// `length` letters picked by `bits`.
    #[inline]
    pub(crate) fn text(&self, bits: u64, length: usize) -> &str {
        let start = (bits >> 48) as usize;
        &self.0[start..start + length.min(Self::TEXT_MAX)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_and_streams_differ() {
        let seed = Seed::new(7);
        let (one, two) = (seed.stream(1), seed.stream(2));
        let mean = (0..10_000).map(|n| unit(one.at(n))).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert!((0..1_000).all(|n| one.at(n) != two.at(n)));
        assert!((0..1_000).all(|n| below(one.at(n), 7) < 7));
        assert_ne!(Seed::new(7).stream(1).at(0), Seed::new(8).stream(1).at(0));
        let letters = Letters::new(seed);
        assert_eq!(letters.text(u64::MAX, 20).len(), 20);
    }
}
