//! The head of a message: an owned copy of its lines and an index of its fields.
//!
//! The bytes are kept as they came; the index has eight bytes for a field. Reading is in `read`, what
//! the fields mean in `meaning`.

use memchr::memchr;

use super::meaning::{Meaning, Notes};
use super::token::{names_equal, trim};

/// An owned copy of a start line and its fields; reusable.
///
/// Reading into it clears it and keeps its capacity. After a violation its contents mean nothing.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// All lines as they were received.
    bytes: Vec<u8>,
    index: Vec<FieldPlace>,
    method_bytes: u16,
    /// Target of a request, reason of a response.
    text_start: u16,
    text_bytes: u16,
    status: u16,
    minor: u8,
    /// For the merged view: see [`Head::joined_fields`].
    pub(super) join_duplicates: bool,
    pub(super) meaning: Meaning,
}

/// Where a field is in the bytes of its head.
#[derive(Clone, Copy, Debug, Default)]
struct FieldPlace {
    name: u16,
    name_bytes: u16,
    value: u16,
    value_bytes: u16,
}

impl FieldPlace {
    #[inline]
    fn name_in<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        slice(bytes, self.name, self.name_bytes)
    }

    #[inline]
    fn value_in<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        slice(bytes, self.value, self.value_bytes)
    }
}

#[inline]
fn slice(bytes: &[u8], start: u16, length: u16) -> &[u8] {
    let (start, length) = (usize::from(start), usize::from(length));
    bytes.get(start..start.saturating_add(length)).unwrap_or_default()
}

#[inline]
pub(super) fn crlf_at(bytes: &[u8], at: usize) -> Option<()> {
    match bytes.get(at..) {
        Some([b'\r', b'\n', ..]) => Some(()),
        _ => None,
    }
}

/// The reading side: what `read` fills in.
impl Head {
    /// Forgets the last message and copies the lines of this one.
    #[inline(always)]
    pub(super) fn begin(&mut self, window: &[u8], consumed: usize) {
        self.bytes.clear();
        self.index.clear();
        self.bytes.extend_from_slice(window.get(..consumed).unwrap_or_default());
    }

    /// Builds the index and takes notes from the fields that httparse found in `window`, and
    /// verifies that lines follow each other without a gap from CRLF to CRLF.
    #[inline(always)]
    pub(super) fn take_index<'a>(
        &mut self,
        window: &'a [u8],
        start_line_end: usize,
        consumed: usize,
        fields: &[httparse::Header<'a>],
        notes: &mut Notes<'a>,
    ) -> Option<()> {
        let base = window.as_ptr().addr();
        let mut line = start_line_end.wrapping_add(2);
        // All places at once: a push asks for room every time.
        self.index.resize(fields.len(), FieldPlace::default());
        for (place, field) in self.index.iter_mut().zip(fields) {
            let (name, value) = (field.name.as_bytes(), field.value);
            let value_start = value.as_ptr().addr().wrapping_sub(base);
            if name.as_ptr().addr().wrapping_sub(base) != line {
                return None;
            }
            *place = FieldPlace {
                name: line as u16,
                name_bytes: name.len() as u16,
                value: value_start as u16,
                value_bytes: value.len() as u16,
            };
            let mut end = value_start.wrapping_add(value.len());
            if crlf_at(window, end).is_none() {
                while let Some(b' ' | b'\t') = window.get(end) {
                    end = end.wrapping_add(1);
                }
                crlf_at(window, end)?;
            }
            line = end.wrapping_add(2);
            notes.field(name, value);
        }
        crlf_at(window, line)?;
        (line.wrapping_add(2) == consumed).then_some(())
    }

    #[inline]
    pub(super) fn take_request_line(&mut self, method: &[u8], target: &[u8], minor: u8) {
        self.method_bytes = method.len() as u16;
        self.text_start = method.len().saturating_add(1) as u16;
        self.text_bytes = target.len() as u16;
        self.minor = minor;
        self.status = 0;
    }

    #[inline]
    pub(super) fn take_status_line(&mut self, minor: u8, status: u16, line_end: usize) {
        // `HTTP/1.1 200`, then a space or nothing.
        let reason = line_end.min(13);
        self.minor = minor;
        self.status = status;
        self.method_bytes = 0;
        self.text_start = reason as u16;
        self.text_bytes = line_end.saturating_sub(reason) as u16;
    }

    /// Copies and indexes lines that the scanner has found right; gives the start line's length.
    pub(super) fn begin_scanned(&mut self, lines: &[u8]) -> usize {
        self.begin(lines, lines.len());
        let line_end = memchr(b'\r', lines).unwrap_or(lines.len());
        self.index_from(line_end.saturating_add(2));
        line_end
    }

    pub(super) fn scanned_notes<'a>(&self, lines: &'a [u8]) -> Notes<'a> {
        let mut notes = Notes::default();
        for place in &self.index {
            notes.field(place.name_in(lines), place.value_in(lines));
        }
        notes
    }

    /// Indexes field lines that the scanner has found right, from `line` to the empty line.
    fn index_from(&mut self, mut line: usize) {
        while let Some(rest) = self.bytes.get(line..) {
            let Some(end) = memchr(b'\r', rest) else {
                return;
            };
            let Some((name, value)) =
                memchr(b':', rest).and_then(|colon| Some((colon, rest.get(colon..end)?.get(1..)?)))
            else {
                return;
            };
            let lead = value.iter().take_while(|&&byte| matches!(byte, b' ' | b'\t')).count();
            let value_start = line.saturating_add(name).saturating_add(1).saturating_add(lead);
            self.index.push(FieldPlace {
                name: line as u16,
                name_bytes: name as u16,
                value: value_start as u16,
                value_bytes: trim(value).len() as u16,
            });
            line = line.saturating_add(end).saturating_add(2);
        }
    }
}

impl Head {
    /// The method of a request; empty for a response.
    pub(crate) fn method(&self) -> &str {
        match slice(&self.bytes, 0, self.method_bytes) {
            // A constant costs less than proving that the bytes are text.
            b"GET" => "GET",
            b"POST" => "POST",
            b"HEAD" => "HEAD",
            b"PUT" => "PUT",
            method => text(method),
        }
    }

    pub(crate) fn target(&self) -> &str {
        if self.status == 0 {
            text(slice(&self.bytes, self.text_start, self.text_bytes))
        } else {
            ""
        }
    }

    /// The minor version: 0 or 1.
    pub(crate) fn version_minor(&self) -> u8 {
        self.minor
    }

    /// The status of a response; 0 for a request.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// The reason of a response, possibly empty; empty for a request.
    pub(crate) fn reason(&self) -> &[u8] {
        if self.status == 0 { &[] } else { slice(&self.bytes, self.text_start, self.text_bytes) }
    }

    /// How many field lines there are.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn field_count(&self) -> usize {
        self.index.len()
    }

    /// Names and values in the order and the spelling of the message.
    pub(crate) fn fields(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> + Clone {
        self.index
            .iter()
            .map(|place| (text(place.name_in(&self.bytes)), place.value_in(&self.bytes)))
    }

    /// The first value of that name, in any case.
    pub(crate) fn find(&self, name: &str) -> Option<&[u8]> {
        self.find_all(name).next()
    }

    /// All values of that name, in any case and in order.
    pub(crate) fn find_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.index.iter().filter_map(move |place| {
            let same = usize::from(place.name_bytes) == name.len()
                && names_equal(place.name_in(&self.bytes), name.as_bytes());
            same.then(|| place.value_in(&self.bytes))
        })
    }

    /// What the head means to the connection.
    pub(crate) fn meaning(&self) -> &Meaning {
        &self.meaning
    }

    /// The message is handed over together with its connection.
    pub(crate) fn hand_over(&mut self) {
        self.meaning.handed_over = true;
    }

    /// Bytes of memory that are kept for reuse.
    pub(crate) fn byte_capacity(&self) -> usize {
        self.bytes
            .capacity()
            .saturating_add(self.index.capacity().saturating_mul(size_of::<FieldPlace>()))
    }

    /// Forgets the message and keeps the capacity.
    #[cfg(test)]
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.index.clear();
        (self.method_bytes, self.text_start, self.text_bytes) = (0, 0, 0);
        (self.status, self.minor) = (0, 0);
        self.meaning = Meaning::default();
    }
}

/// A trailer section is a head without a start line; it grows as the bytes come.
impl Head {
    /// Bytes received of the section.
    pub(super) fn received(&self) -> usize {
        self.bytes.len()
    }

    /// Appends bytes that the scanner has found right.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Indexes the whole section after its last byte has come.
    pub(super) fn index_section(&mut self) {
        self.index_from(0);
    }
}

/// Bytes that are ASCII because the reader let nothing else through.
#[inline]
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
