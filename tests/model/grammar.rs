//! What the rules are written with: functions that take a slice and give what they have read together with
//! the rest of it, or say why they cannot.

/// Why there is nothing to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The bytes are a beginning of what is looked for.
    More,
    /// They are not; a server answers with one of these statuses.
    Wrong(Vec<u16>),
}

/// What was read, and the bytes behind it.
pub(crate) type Read<'a, T> = Result<(T, &'a [u8]), Stop>;

pub(crate) fn wrong<T>(status: u16) -> Result<T, Stop> {
    Err(Stop::Wrong(vec![status]))
}

/// The longest beginning of bytes that are all of a kind, and the rest.
pub(crate) fn run(bytes: &[u8], kind: fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| !kind(*byte)).unwrap_or(bytes.len());
    bytes.split_at(end)
}

/// The same where a byte of another kind has to follow, and so has to be there.
pub(crate) fn whole_run(bytes: &[u8], kind: fn(u8) -> bool) -> Read<'_, &[u8]> {
    match run(bytes, kind) {
        (_, []) => Err(Stop::More),
        read => Ok(read),
    }
}

/// These bytes and no others; gives the rest.
pub(crate) fn exactly<'a>(expected: &[u8], bytes: &'a [u8]) -> Result<&'a [u8], Stop> {
    match bytes.strip_prefix(expected) {
        Some(rest) => Ok(rest),
        None if expected.starts_with(bytes) => Err(Stop::More),
        None => wrong(400),
    }
}

/// One byte of a kind.
pub(crate) fn one(bytes: &[u8], kind: fn(u8) -> bool) -> Read<'_, u8> {
    match bytes {
        [] => Err(Stop::More),
        [byte, rest @ ..] if kind(*byte) => Ok((*byte, rest)),
        _ => wrong(400),
    }
}

/// Something that must end within so many bytes; else it is refused with `status`, as soon as they are there.
pub(crate) fn within<'a, T>(
    bytes: &'a [u8],
    most: usize,
    status: u16,
    read: impl FnOnce(&'a [u8]) -> Read<'a, T>,
) -> Read<'a, T> {
    let window = &bytes[..bytes.len().min(most)];
    match read(window) {
        Ok((value, rest)) => Ok((value, &bytes[window.len() - rest.len()..])),
        Err(Stop::More) if window.len() == most => wrong(status),
        Err(stop) => Err(stop),
    }
}

/// RFC 9110 §5.6.2: `tchar`.
pub(crate) fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `1*tchar`, and the byte behind it.
pub(crate) fn token(bytes: &[u8]) -> Read<'_, &[u8]> {
    one(bytes, is_tchar)?;
    whole_run(bytes, is_tchar)
}

pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_tchar(*byte))
}

/// RFC 9110 §5.6.3: SP and HTAB, and nothing else.
pub(crate) fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Optional white space, skipped.
pub(crate) fn skip_space(bytes: &[u8]) -> &[u8] {
    run(bytes, is_space).1
}

/// Without white space at both ends.
pub(crate) fn trimmed(bytes: &[u8]) -> &[u8] {
    let begun = skip_space(bytes);
    let end = begun.iter().rposition(|byte| !is_space(*byte)).map_or(0, |last| last + 1);
    &begun[..end]
}

/// RFC 9110 §5.5: what a field value is made of, white space included.
pub(crate) fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// A decimal number, by hand: what the library's parsers take beside digits is nothing to rely on here.
pub(crate) fn decimal(digits: &[u8]) -> Option<u128> {
    if digits.is_empty() || digits.len() > 30 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| number * 10 + u128::from(digit - b'0')))
}
