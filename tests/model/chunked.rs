//! RFC 9112 §7.1: the chunked transfer coding.
//!
//! ```text
//! chunked-body = *chunk last-chunk trailer-section CRLF
//! chunk        = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
//! last-chunk   = 1*"0" [ chunk-ext ] CRLF
//! ```

use super::Limits;
use super::framing::forbidden_in_trailers;
use super::grammar::{Read, Stop, exactly, is_space, one, run, skip_space, token, within, wrong};
use super::message::{Field, field_section};

/// The whole of it; content goes to `content` as it is found, the trailer fields are given.
pub(crate) fn read<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    content: &mut Vec<u8>,
) -> Read<'a, Vec<Field>> {
    let mut rest = bytes;
    let mut announced = 0u128;
    let mut extension_bytes = 0;
    loop {
        let (size, behind) = chunk_size(rest)?;
        let behind = bounded_extensions(behind, limits, &mut extension_bytes)?;
        let data = exactly(b"\r\n", behind)?;
        if size == 0 {
            return trailer_section(data, limits);
        }
        announced += u128::from(size);
        if limits.content_bytes.is_some_and(|most| announced > u128::from(most)) {
            return wrong(413);
        }
        let here = data.len().min(usize::try_from(size).unwrap_or(usize::MAX));
        content.extend_from_slice(&data[..here]);
        rest = exactly(b"\r\n", &data[here..])?;
    }
}

/// `chunk-size = 1*HEXDIG`. Not of the RFC: at most sixteen digits that count, and as many zeros before them.
fn chunk_size(bytes: &[u8]) -> Read<'_, u64> {
    one(bytes, |byte| byte.is_ascii_hexdigit())?;
    let (zeros, _) = run(bytes, |byte| byte == b'0');
    let (all, rest) = run(bytes, |byte| byte.is_ascii_hexdigit());
    if zeros.len() > 16 || all.len() - zeros.len() > 16 {
        return wrong(400);
    }
    if rest.is_empty() {
        return Err(Stop::More);
    }
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => u64::from(byte - b'0'),
        _ => u64::from((byte | 0x20) - b'a') + 10,
    };
    Ok((all.iter().fold(0, |size, byte| (size << 4) + digit(byte)), rest))
}

/// §7.1.1: "A recipient MUST ignore unrecognized chunk extensions", and "ought to limit the total length".
fn bounded_extensions<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    used_before: &mut usize,
) -> Result<&'a [u8], Stop> {
    let left = limits.extension_bytes_in_all - *used_before;
    let most = limits.extension_bytes.min(left);
    match chunk_ext(bytes) {
        Ok(rest) if bytes.len() - rest.len() > most => wrong(413),
        Ok(rest) => {
            *used_before += bytes.len() - rest.len();
            Ok(rest)
        }
        Err(Stop::More) if bytes.len() > most => wrong(413),
        // Which of the two comes first is not looked at.
        Err(Stop::Wrong(statuses)) if bytes.len() > most => {
            Err(Stop::Wrong([statuses, vec![413]].concat()))
        }
        Err(stop) => Err(stop),
    }
}

/// `chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`, up to the CR of the line.
fn chunk_ext(bytes: &[u8]) -> Result<&[u8], Stop> {
    let mut rest = bytes;
    loop {
        if rest.first() == Some(&b'\r') {
            return Ok(rest);
        }
        let behind = exactly(b";", skip_space(rest))?;
        let (_, behind) = token(skip_space(behind))?;
        rest = match skip_space(behind) {
            [b'=', value @ ..] => chunk_ext_val(skip_space(value))?,
            [] => return Err(Stop::More),
            _ => behind,
        };
    }
}

/// `chunk-ext-val = token / quoted-string`.
fn chunk_ext_val(bytes: &[u8]) -> Result<&[u8], Stop> {
    match bytes {
        [b'"', rest @ ..] => quoted_string(rest),
        _ => Ok(token(bytes)?.1),
    }
}

/// RFC 9110 §5.6.4, behind the opening quote. `obs-text` is refused: a chunk line is none of a user's text.
fn quoted_string(bytes: &[u8]) -> Result<&[u8], Stop> {
    let is_text = |byte: u8| is_space(byte) || byte.is_ascii_graphic();
    let mut rest = bytes;
    loop {
        rest = match rest {
            [] => return Err(Stop::More),
            [b'"', behind @ ..] => return Ok(behind),
            [b'\\', behind @ ..] => one(behind, is_text)?.1,
            _ => one(rest, is_text)?.1,
        }
    }
}

/// §7.1.2: `trailer-section CRLF`, field lines under limits of their own.
fn trailer_section<'a>(bytes: &'a [u8], limits: &Limits) -> Read<'a, Vec<Field>> {
    let (fields, rest) = within(bytes, limits.trailer_bytes + 2, 431, |bytes| {
        field_section(bytes, limits.trailer_fields)
    })?;
    match fields.iter().any(|(name, _)| forbidden_in_trailers(name)) {
        true => wrong(400),
        false => Ok((fields, rest)),
    }
}
