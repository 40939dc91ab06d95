//! Random numbers that are a function of what they are for: seed, split and index, never of what was drawn before.
//!
//! Owns one small generator (SplitMix64). Each record gets its own, so that any record can be made without those before it.
//! Only integer arithmetic is used, so that a record is the same on every machine.

/// The odd constant by which SplitMix64 steps.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Numbers for one record.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    /// The numbers of record `index` of `split` under `seed`.
    pub(super) fn of(seed: u64, split: u64, index: u64) -> Self {
        Rng(mix(mix(mix(seed ^ STEP).wrapping_add(split)).wrapping_add(index)))
    }

    /// The next 64 bits.
    #[inline]
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `bound`, which is at least 1.
    #[inline]
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }
}

/// Spreads every bit of the input over the output.
#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
