//! How the bytes of a fuzzer become a message and a choice.

/// The first `N` bytes choose, by their lower four bits, so that seeds are written with `0` to `9`; the rest is the
/// message. `None` where there are fewer.
pub fn choices<const N: usize>(data: &[u8]) -> Option<([usize; N], &[u8])> {
    let (first, rest) = data.split_first_chunk::<N>()?;
    Some((first.map(|byte| usize::from(byte & 15)), rest))
}

/// Numbers from a seed: the places of cuts.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// A seed from what was chosen and from the bytes, so that a change of the bytes moves the cuts as well.
    pub fn new(choice: usize, bytes: &[u8]) -> Random {
        let start = 0x9e37_79b9_7f4a_7c15 ^ choice as u64;
        let mix = |seed: u64, byte: &u8| (seed ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        Random(bytes.iter().take(64).fold(start, mix) | 1)
    }

    /// Below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }
}

/// The ends of the pieces that `length` bytes come in; the last one is `length`. Choice 0 is single bytes, 1 is two
/// pieces, the others are pieces of growing size.
pub fn cuts(choice: usize, length: usize, random: &mut Random) -> Vec<usize> {
    let mut cuts = Vec::new();
    match choice {
        0 => cuts.extend(1..length),
        1 if length > 1 => cuts.push(1 + random.below(length - 1)),
        _ => {
            let mut at = 0;
            loop {
                at += 1 + random.below(1 << (choice / 2).min(10));
                if at >= length {
                    break;
                }
                cuts.push(at);
            }
        }
    }
    cuts.push(length);
    cuts
}
