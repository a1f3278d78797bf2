//! The lexical rules that everything else here shares: byte classes, names, lists.
//!
//! Names are compared by length, then eight bytes at a time: a loop over single bytes costs more
//! than the rest of reading a short head.

use std::hash::{Hash, Hasher};

/// A byte of a token: RFC 9110 §5.6.2.
pub(super) const TOKEN: u8 = 1;
/// A byte of a field value or reason phrase, white space included: RFC 9110 §5.5.
pub(super) const VALUE: u8 = 1 << 1;
/// A byte of a request target. `[` and `]` are taken in queries too, because honest clients send
/// them there by the million and nothing is decided by them.
pub(super) const TARGET: u8 = 1 << 2;
/// A byte of a registered name or IPv4 address, without the comma: RFC 3986 §3.2.2.
pub(super) const HOST: u8 = 1 << 3;
/// The opposite of [`TOKEN`]: with opposites, one pass that collects bits can tell.
pub(super) const NOT_TOKEN: u8 = 1 << 4;
/// `%`, which needs a closer look in targets and hosts.
pub(super) const PERCENT: u8 = 1 << 5;
/// The opposite of [`TARGET`].
pub(super) const NOT_TARGET: u8 = 1 << 6;
/// The opposite of [`HOST`].
pub(super) const NOT_HOST: u8 = 1 << 7;

static CLASSES: [u8; 256] = classes();

#[cfg_attr(
    not(test),
    expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "runs in the compiler, where a panic is an error message"
    )
)]
const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let sub_delimiter = matches!(
            byte,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
        );
        let mut class = 0;
        if unreserved
            || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+')
            || matches!(byte, b'^' | b'`' | b'|')
        {
            class |= TOKEN;
        }
        if byte == b'\t' || (byte >= b' ' && byte != 0x7f) {
            class |= VALUE;
        }
        if unreserved
            || sub_delimiter
            || matches!(byte, b':' | b'@' | b'/' | b'?' | b'%' | b'[' | b']')
        {
            class |= TARGET;
        }
        if class & TARGET == 0 {
            class |= NOT_TARGET;
        }
        if unreserved || (sub_delimiter && byte != b',') || byte == b'%' {
            class |= HOST;
        }
        if class & HOST == 0 {
            class |= NOT_HOST;
        }
        if class & TOKEN == 0 {
            class |= NOT_TOKEN;
        }
        if byte == b'%' {
            class |= PERCENT;
        }
        table[at] = class;
        at += 1;
    }
    table
}

/// The classes of a byte.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "a byte cannot be outside of a table of 256")]
pub(super) fn class_of(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

/// The number of leading bytes that are in `class`.
#[inline]
pub(super) fn run_of(bytes: &[u8], class: u8) -> usize {
    bytes.iter().position(|&byte| class_of(byte) & class == 0).unwrap_or(bytes.len())
}

/// All classes that any of the bytes is in.
#[inline]
pub(super) fn classes_of(mut bytes: &[u8]) -> u8 {
    let mut any = 0;
    // The compiler does not unroll table look-ups by itself.
    while let Some((eight, rest)) = bytes.split_first_chunk::<8>() {
        for &byte in eight {
            any |= class_of(byte);
        }
        bytes = rest;
    }
    bytes.iter().fold(any, |any, &byte| any | class_of(byte))
}

/// Whether the bytes are a token: one or more token characters.
#[inline]
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && classes_of(bytes) & NOT_TOKEN == 0
}

/// Whether the bytes may be sent or received as a field value: HTAB, 0x20 to 0x7e, 0x80 to 0xff.
#[inline]
pub(crate) fn is_field_value(bytes: &[u8]) -> bool {
    // Eight at a time. HTAB and, through borrows, a few harmless bytes fall through to the table.
    if let Some(last) = bytes.last_chunk::<8>() {
        let mut controls = control_bits(u64::from_le_bytes(*last));
        let mut rest = bytes;
        while let Some((first, tail)) = rest.split_first_chunk::<8>() {
            controls |= control_bits(u64::from_le_bytes(*first));
            rest = tail;
        }
        if controls == 0 {
            return true;
        }
    }
    bytes.iter().all(|&byte| class_of(byte) & VALUE != 0)
}

/// Not zero if one of the eight bytes is below 0x20 or is 0x7f.
#[inline(always)]
fn control_bits(word: u64) -> u64 {
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let delete = word ^ (ONES * 0x7f);
    (below_space | (delete.wrapping_sub(ONES) & !delete)) & (ONES * 0x80)
}

const ONES: u64 = 0x0101_0101_0101_0101;
/// Added to a byte below 0x80, sets the high bit from `A` on.
const FROM_A: u64 = ONES * (0x80 - b'A' as u64);
/// Added to a byte below 0x80, sets the high bit above `Z`.
const ABOVE_Z: u64 = ONES * (0x7f - b'Z' as u64);

#[cfg(test)]
thread_local! {
    /// Pairs of names that this thread has compared, for tests of how much work something is.
    pub(crate) static COMPARED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Whether two names are equal but for the case of ASCII letters.
#[inline]
pub(crate) fn names_equal(a: &[u8], b: &[u8]) -> bool {
    #[cfg(test)]
    COMPARED.set(COMPARED.get() + 1);
    if a.len() != b.len() {
        return false;
    }
    let (Some(a_last), Some(b_last)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) else {
        return short_names_equal(a, b);
    };
    let (mut a, mut b) = (a, b);
    // The last eight bytes overlap the eight before them; comparing some twice is cheaper than a
    // loop over the remainder.
    while let (Some((a_first, a_tail)), Some((b_first, b_tail))) =
        (a.split_first_chunk::<8>(), b.split_first_chunk::<8>())
    {
        if !words_equal(u64::from_le_bytes(*a_first), u64::from_le_bytes(*b_first)) {
            return false;
        }
        (a, b) = (a_tail, b_tail);
    }
    words_equal(u64::from_le_bytes(*a_last), u64::from_le_bytes(*b_last))
}

/// A name as a key, by the measure of [`names_equal`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnyCase<'a>(pub(crate) &'a [u8]);

impl PartialEq for AnyCase<'_> {
    fn eq(&self, other: &Self) -> bool {
        names_equal(self.0, other.0)
    }
}

impl Eq for AnyCase<'_> {}

impl Hash for AnyCase<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut rest = self.0;
        while let Some((first, tail)) = rest.split_first_chunk::<8>() {
            state.write_u64(lower_case(u64::from_le_bytes(*first)));
            rest = tail;
        }
        let last =
            rest.iter().fold(0, |word, byte| word << 8 | u64::from(byte.to_ascii_lowercase()));
        state.write_u64(last);
        state.write_usize(self.0.len());
    }
}

/// `names_equal` for two slices of the same length below eight.
fn short_names_equal(a: &[u8], b: &[u8]) -> bool {
    words_equal(short_word(a), short_word(b))
}

fn short_word(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
    }
    bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

#[inline(always)]
fn words_equal(a: u64, b: u64) -> bool {
    let difference = a ^ b;
    if difference == 0 {
        return true;
    }
    // Only the bit that tells the cases apart may differ, and only in letters: `^` and `~` differ
    // by the same bit, and both are token characters.
    difference & !(ONES * 0x20) == 0 && lower_case(a) == lower_case(b)
}

/// The word with the ASCII capitals among its eight bytes in lower case.
#[inline(always)]
fn lower_case(word: u64) -> u64 {
    let low = word & (ONES * 0x7f);
    let from_a = low.wrapping_add(FROM_A);
    let above_z = low.wrapping_add(ABOVE_Z);
    let capital = (from_a ^ above_z) & !word & (ONES * 0x80);
    word | capital >> 2
}

/// Whether a name is one that we know. `lower` is a constant of letters in lower case, digits and
/// hyphens, so that the loop becomes a handful of word operations.
#[inline(always)]
pub(super) fn is_name<const N: usize>(name: &[u8], lower: &[u8; N]) -> bool {
    let Ok(name) = <&[u8; N]>::try_from(name) else {
        return false;
    };
    let mut difference = 0;
    for (&byte, &expected) in name.iter().zip(lower) {
        // A bit set in a hyphen's place would make CR one.
        let case_bit = if expected.is_ascii_lowercase() { 0x20 } else { 0 };
        difference |= (byte | case_bit) ^ expected;
    }
    difference == 0
}

/// The value without SP and HTAB at its ends; nothing else is white space here.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The elements of a comma-separated list, trimmed, empty ones included. It knows no quoted
/// strings: none of the lists that are read here has them.
pub(super) fn list_elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim)
}

/// Whether a comma-separated list has this element, in any case.
pub(super) fn has_list_token(value: &[u8], token: &str) -> bool {
    list_elements(value).any(|element| names_equal(element, token.as_bytes()))
}

/// A plain decimal number: digits only, at most 20 of them, below 2^64.
pub(crate) fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 20 {
        return None;
    }
    bytes.iter().try_fold(0u64, |number, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    #[test]
    fn byte_classes() {
        let tokens =
            b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        for byte in 0..=255u8 {
            let class = class_of(byte);
            assert_eq!(class & TOKEN != 0, tokens.contains(&byte), "token {byte:#x}");
            let value = byte == 9 || (0x20..0x7f).contains(&byte) || byte >= 0x80;
            assert_eq!(class & VALUE != 0, value, "value {byte:#x}");
            let target = (0x21..0x7f).contains(&byte) && !b"\"<>\\^`{|}#".contains(&byte);
            assert_eq!(class & TARGET != 0, target, "target {byte:#x}");
        }
    }

    #[test]
    fn field_values_agree_with_the_table_at_every_place() {
        for length in 0..20 {
            for place in 0..length {
                for byte in 0..=255u8 {
                    let mut value = vec![b'x'; length];
                    value[place] = byte;
                    let expected = class_of(byte) & VALUE != 0;
                    assert_eq!(
                        is_field_value(&value),
                        expected,
                        "{byte:#x} at {place} of {length}"
                    );
                }
            }
        }
        assert!(is_field_value(b""));
    }

    #[test]
    fn names_agree_with_the_library_at_every_place() {
        let hashes = RandomState::new();
        for length in 1..20 {
            for place in 0..length {
                for a in 0..=255u8 {
                    for b in [a, a ^ 0x20, a | 0x20, a ^ 1, a ^ 0x80, b'-', 0x0d] {
                        let mut left = vec![b'Q'; length];
                        let mut right = vec![b'q'; length];
                        left[place] = a;
                        right[place] = b;
                        assert_eq!(names_equal(&left, &right), left.eq_ignore_ascii_case(&right));
                        let [left_hash, right_hash] =
                            [&left, &right].map(|name| hashes.hash_one(AnyCase(name)));
                        assert_eq!(left_hash == right_hash, left.eq_ignore_ascii_case(&right));
                    }
                }
            }
        }
        assert!(names_equal(b"", b""));
        assert!(!names_equal(b"a", b""));
    }

    #[test]
    fn known_names() {
        for good in ["content-length", "Content-Length", "CONTENT-LENGTH"] {
            assert!(is_name(good.as_bytes(), b"content-length"));
        }
        for bad in ["content\rlength", "content_length", "content-lengt", "content-lengths", ""] {
            assert!(!is_name(bad.as_bytes(), b"content-length"));
        }
    }

    #[test]
    fn lists() {
        assert!(has_list_token(b"keep-alive , Close", "close"));
        assert!(has_list_token(b"close", "close"));
        assert!(!has_list_token(b"closed, xclose,", "close"));
        assert!(!has_list_token(b"\x0bclose", "close"));
    }

    #[test]
    fn decimals() {
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(decimal(b"007"), Some(7));
        for bad in
            ["", "18446744073709551616", "+1", "-1", "0x1", "1 1", "1.0", "000000000000000000001"]
        {
            assert_eq!(decimal(bad.as_bytes()), None, "{bad}");
        }
    }
}
