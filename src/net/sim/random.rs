//! The one source of chance, and the hash that tells two runs apart.

/// SplitMix64: tiny, fast, and the same on every machine and compiler, which is what matters here.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `bound`; 0 for a bound of 0. The bias of the remainder is of no interest.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// True in `per_mille` of 1,000 cases. Draws nothing when it is 0, so that a fault that is
    /// switched off does not shift the others.
    pub(super) fn chance(&mut self, per_mille: u16) -> bool {
        per_mille != 0 && self.below(1000) < u64::from(per_mille)
    }

    /// A number from `low` to `high`, both included; `low` when they are the wrong way round.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        if high <= low { low } else { low + self.below((high - low).saturating_add(1)) }
    }
}

/// A running hash: not cryptographic, but any changed, missing or moved byte changes it.
#[derive(Debug)]
pub(super) struct Trace(u64);

impl Trace {
    pub(super) fn new() -> Trace {
        Trace(0)
    }

    pub(super) fn number(&mut self, value: u64) {
        self.0 = mix(self.0.rotate_left(5) ^ value).wrapping_add(0x9E37_79B9_7F4A_7C15);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.number(u64::from_le_bytes(word));
        }
    }

    pub(super) fn value(&self) -> u64 {
        self.0
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
