//! Chunk lines: size, extensions and their end, as a state machine over single bytes.
//!
//! It is used for nothing but the lines; the data between them is never looked at. RFC 9112 §7.1.

use super::body::BodyLimits;
use super::scan::Refusal;
use super::token::{TOKEN, class_of};
use super::violation::Violation;

/// Significant digits of a size: 64 bits.
const DIGITS_MAX: u8 = 16;
/// Leading zeros of a size. The grammar allows any number; nobody needs more than a fixed width.
const ZEROS_MAX: u8 = 16;

/// Where the reading of a chunk line stands.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct ChunkLine {
    size: u64,
    // Saturating far above their limits.
    extension_total: u16,
    extension_bytes: u16,
    zeros: u8,
    digits: u8,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    /// White space where only `;` may follow: after the size or after a value.
    BeforeSemicolon,
    /// After `;`.
    NameStart,
    Name,
    /// White space after a name: `=` or `;` may follow.
    AfterName,
    /// After `=`.
    ValueStart,
    Value,
    Quoted,
    QuotedPair,
    /// After the closing quote.
    AfterQuoted,
    LineFeed,
}

impl ChunkLine {
    /// Looks at `bytes` until the line ends. Gives how many were used and, with the line's end, the
    /// size; the line is then ready for the next one.
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        limits: &BodyLimits,
    ) -> Result<(usize, Option<u64>), Refusal> {
        for (at, &byte) in bytes.iter().enumerate() {
            let refusal = |violation| Refusal { violation, at };
            match self.state {
                State::Size => self.size_byte(byte, limits).map_err(refusal)?,
                State::LineFeed if byte == b'\n' => {
                    let size = self.size;
                    *self =
                        ChunkLine { extension_total: self.extension_total, ..ChunkLine::default() };
                    return Ok((at.saturating_add(1), Some(size)));
                }
                State::LineFeed => return Err(refusal(Violation::BareCr)),
                _ => self.extension_byte(byte, limits).map_err(refusal)?,
            }
        }
        Ok((bytes.len(), None))
    }

    fn size_byte(&mut self, byte: u8, limits: &BodyLimits) -> Result<(), Violation> {
        let Some(digit) = (byte as char).to_digit(16) else {
            return match byte {
                _ if self.digits == 0 && self.zeros == 0 => Err(Violation::ChunkSize),
                b'\n' => Err(Violation::BareLf),
                b'\r' => {
                    self.state = State::LineFeed;
                    Ok(())
                }
                b';' | b' ' | b'\t' => {
                    self.state = State::BeforeSemicolon;
                    self.extension_byte(byte, limits)
                }
                _ => Err(Violation::ChunkSize),
            };
        };
        if digit == 0 && self.digits == 0 {
            self.zeros = self.zeros.saturating_add(1);
        } else {
            self.digits = self.digits.saturating_add(1);
        }
        if self.zeros > ZEROS_MAX || self.digits > DIGITS_MAX {
            return Err(Violation::ChunkSize);
        }
        // Sixteen digits fit: the shift loses nothing.
        self.size = self.size << 4 | u64::from(digit);
        Ok(())
    }

    /// One byte of `*( BWS ";" BWS name [ BWS "=" BWS value ] ) CR`: RFC 9112 §7.1.1.
    fn extension_byte(&mut self, byte: u8, limits: &BodyLimits) -> Result<(), Violation> {
        if byte == b'\n' {
            return Err(Violation::BareLf);
        }
        let at_end = matches!(self.state, State::Name | State::Value | State::AfterQuoted);
        if byte == b'\r' && at_end {
            self.state = State::LineFeed;
            return Ok(());
        }
        self.count(limits)?;
        let token = class_of(byte) & TOKEN != 0;
        let space = matches!(byte, b' ' | b'\t');
        self.state = match (self.state, byte) {
            (State::BeforeSemicolon | State::AfterName | State::AfterQuoted, b';') => {
                State::NameStart
            }
            (State::Name | State::Value, b';') => State::NameStart,
            (State::Name | State::AfterName, b'=') => State::ValueStart,
            (State::ValueStart, b'"') => State::Quoted,
            (State::Quoted, b'"') => State::AfterQuoted,
            (State::Quoted, b'\\') => State::QuotedPair,
            (State::Quoted, b'\t' | b' '..=b'~') => State::Quoted,
            (State::QuotedPair, b'\t' | b' '..=b'~') => State::Quoted,
            (State::NameStart | State::Name, _) if token => State::Name,
            (State::ValueStart | State::Value, _) if token => State::Value,
            (State::BeforeSemicolon | State::NameStart | State::AfterName, _) if space => {
                self.state
            }
            (State::ValueStart, _) if space => State::ValueStart,
            (State::Name, _) if space => State::AfterName,
            (State::Value | State::AfterQuoted, _) if space => State::BeforeSemicolon,
            _ => return Err(Violation::ChunkExtension),
        };
        Ok(())
    }

    /// Extensions are ignored, so every byte of them is a byte of work for nothing.
    fn count(&mut self, limits: &BodyLimits) -> Result<(), Violation> {
        self.extension_bytes = self.extension_bytes.saturating_add(1);
        self.extension_total = self.extension_total.saturating_add(1);
        if usize::from(self.extension_bytes) > limits.extension_bytes_per_chunk
            || usize::from(self.extension_total) > limits.extension_bytes
        {
            return Err(Violation::ExtensionTooLarge);
        }
        Ok(())
    }
}
