//! The header fields of a message that we send, in wire form with an index beside it.
//!
//! The wire form is built as fields are set, so that sending a head is one copy. Names and values
//! are checked here and nowhere else: nothing that gets in can end a line. Which fields are added by
//! themselves is not known here; the list only says which of the names with rules are there.

mod many;

use std::fmt;

use super::token::{is_field_value, is_name, is_token, names_equal};

/// Why a field was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldError {
    /// The name is no token.
    Name,
    /// The value has a control character.
    Value,
    /// The section would be longer than 65535 bytes.
    TooLarge,
}

/// Longest section: its index has 16 bits, and no receiver takes as much.
const SECTION_BYTES_MAX: usize = u16::MAX as usize;

/// A set of the field names that the sending side has rules for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known(u16);

impl Known {
    pub(crate) const CONTENT_LENGTH: Known = Known(1);
    pub(crate) const TRANSFER_ENCODING: Known = Known(1 << 1);
    pub(crate) const CONNECTION: Known = Known(1 << 2);
    pub(crate) const KEEP_ALIVE: Known = Known(1 << 3);
    pub(crate) const DATE: Known = Known(1 << 4);
    pub(crate) const TRAILER: Known = Known(1 << 5);
    pub(crate) const HOST: Known = Known(1 << 6);
    pub(crate) const EXPECT: Known = Known(1 << 7);
    pub(crate) const UPGRADE: Known = Known(1 << 8);
    pub(crate) const AUTHORIZATION: Known = Known(1 << 9);
    /// No rules, but set in nearly every response: a known name needs no check and no search.
    pub(crate) const CONTENT_TYPE: Known = Known(1 << 10);

    /// Both sets in one.
    pub(crate) const fn and(self, other: Known) -> Known {
        Known(self.0 | other.0)
    }

    /// One flag of `other` at least is in it.
    #[inline]
    pub(crate) const fn intersects(self, other: Known) -> bool {
        self.0 & other.0 != 0
    }

    /// All flags of `other` are in it.
    pub(crate) const fn contains(self, other: Known) -> bool {
        self.0 & other.0 == other.0
    }

    /// Adds all of `other`.
    pub(crate) const fn insert(&mut self, other: Known) {
        self.0 |= other.0;
    }

    /// Takes all of `other` out.
    pub(crate) const fn remove(&mut self, other: Known) {
        self.0 &= !other.0;
    }

    /// Whether nothing is in this set.
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The name as a set of one; empty if it is none that is known.
    #[inline(always)]
    pub(crate) fn of(name: &[u8]) -> Known {
        match name.len() {
            4 if is_name(name, b"date") => Known::DATE,
            4 if is_name(name, b"host") => Known::HOST,
            6 if is_name(name, b"expect") => Known::EXPECT,
            7 if is_name(name, b"upgrade") => Known::UPGRADE,
            7 if is_name(name, b"trailer") => Known::TRAILER,
            10 if is_name(name, b"connection") => Known::CONNECTION,
            10 if is_name(name, b"keep-alive") => Known::KEEP_ALIVE,
            12 if is_name(name, b"content-type") => Known::CONTENT_TYPE,
            13 if is_name(name, b"authorization") => Known::AUTHORIZATION,
            14 if is_name(name, b"content-length") => Known::CONTENT_LENGTH,
            17 if is_name(name, b"transfer-encoding") => Known::TRANSFER_ENCODING,
            _ => Known(0),
        }
    }
}

/// Where a line `Name: value\r\n` is in the wire form.
#[derive(Clone, Copy, Debug)]
struct Line {
    start: u16,
    name_bytes: u16,
    value_bytes: u16,
}

/// What a line has beside name and value: `: ` and the line end.
const LINE_OVERHEAD: usize = 4;

impl Line {
    fn bytes(&self) -> usize {
        usize::from(self.name_bytes)
            .saturating_add(usize::from(self.value_bytes))
            .saturating_add(LINE_OVERHEAD)
    }

    #[inline]
    fn name_in<'a>(&self, wire: &'a [u8]) -> &'a [u8] {
        let start = usize::from(self.start);
        wire.get(start..start.saturating_add(usize::from(self.name_bytes))).unwrap_or_default()
    }

    fn value_in<'a>(&self, wire: &'a [u8]) -> &'a [u8] {
        let start =
            usize::from(self.start).saturating_add(usize::from(self.name_bytes)).saturating_add(2);
        wire.get(start..start.saturating_add(usize::from(self.value_bytes))).unwrap_or_default()
    }
}

/// The fields of a message that we send. `clear` keeps the capacity.
#[derive(Default, Clone)]
pub(crate) struct FieldList {
    wire: Vec<u8>,
    lines: Vec<Line>,
    known: Known,
    removed: Known,
}

impl fmt::Debug for FieldList {
    /// Names only: values may be credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.iter().map(|(name, _)| String::from_utf8_lossy(name));
        f.debug_list().entries(names).finish()
    }
}

impl FieldList {
    /// Sets the one value of a name. Lines of that name are replaced: the new line, in its new
    /// spelling, takes the place of the first.
    ///
    /// # Errors
    /// [`FieldError`]; the list is then as it was.
    #[inline(always)]
    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), FieldError> {
        let kind = check(name, value)?;
        match self.position(name, kind) {
            None => self.push(name, value, kind),
            Some(first) => self.replace(first, name, value),
        }
    }

    /// Adds a line after all others, whether the name is there or not.
    ///
    /// # Errors
    /// [`FieldError`]; the list is then as it was.
    pub(crate) fn append(&mut self, name: &[u8], value: &[u8]) -> Result<(), FieldError> {
        let kind = check(name, value)?;
        self.push(name, value, kind)
    }

    /// Adds a value to the first line of a name, behind `; `; a line of its own where there is none.
    ///
    /// # Errors
    /// [`FieldError`]; the list is then as it was.
    pub(crate) fn join(&mut self, name: &[u8], value: &[u8]) -> Result<(), FieldError> {
        let kind = check(name, value)?;
        let Some(first) = self.position(name, kind) else {
            return self.push(name, value, kind);
        };
        let added = value.len().saturating_add(2);
        if self.wire.len().saturating_add(added) > SECTION_BYTES_MAX {
            return Err(FieldError::TooLarge);
        }
        let mut lines = self.lines.iter_mut().skip(first);
        if let Some(line) = lines.next() {
            let end = usize::from(line.start).saturating_add(line.bytes()).saturating_sub(2);
            line.value_bytes = line.value_bytes.saturating_add(added as u16);
            lines.for_each(|line| line.start = line.start.saturating_add(added as u16));
            self.wire.splice(end..end, [b"; ", value].concat());
        }
        Ok(())
    }

    /// Removes all lines of a name and remembers that a known one is not wanted. Says whether there
    /// was any.
    pub(crate) fn remove(&mut self, name: &[u8]) -> bool {
        let kind = Known::of(name);
        self.removed.insert(kind);
        self.known.remove(kind);
        let before = self.lines.len();
        self.keep(|_, line_name| !names_equal(line_name, name));
        self.lines.len() != before
    }

    /// Whether there is a line of that name.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.position(name, Known::of(name)).is_some()
    }

    /// The value of the first line of that name.
    pub(crate) fn first(&self, name: &[u8]) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The values of all lines of that name, in order.
    pub(crate) fn all<'a>(&'a self, name: &[u8]) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.lines
            .iter()
            .filter(move |line| names_equal(line.name_in(&self.wire), name))
            .map(|line| line.value_in(&self.wire))
    }

    /// Whether all of `other` has room here, whatever it replaces.
    pub(crate) fn has_room_for(&self, other: &FieldList) -> bool {
        self.wire.len().saturating_add(other.wire.len()) <= SECTION_BYTES_MAX
    }

    /// Names and values in order.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + Clone {
        self.lines.iter().map(|line| (line.name_in(&self.wire), line.value_in(&self.wire)))
    }

    /// The lines as they are sent, each with its line end, without the empty line after them.
    #[inline]
    pub(crate) fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// Whether there is no line.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Forgets all lines and what was removed; keeps the capacity.
    pub(crate) fn clear(&mut self) {
        self.wire.clear();
        self.lines.clear();
        self.known = Known::default();
        self.removed = Known::default();
    }

    /// The same lines as another list; keeps the capacity.
    pub(crate) fn copy_from(&mut self, other: &FieldList) {
        self.wire.clone_from(&other.wire);
        self.lines.clone_from(&other.lines);
        self.known = other.known;
        self.removed = other.removed;
    }

    /// Removes a field without a word on whether it would be added by itself.
    pub(crate) fn remove_quietly(&mut self, name: &[u8]) {
        let removed = self.removed;
        self.remove(name);
        self.removed = removed;
    }

    /// The same for all fields whose name is `unwanted`.
    pub(crate) fn remove_all_quietly(&mut self, unwanted: impl Fn(&[u8]) -> bool) {
        let mut gone = Known::default();
        self.keep(|_, name| {
            let stays = !unwanted(name);
            if !stays {
                gone.insert(Known::of(name));
            }
            stays
        });
        self.known.remove(gone);
    }

    /// Bytes of memory that are kept for reuse.
    pub(crate) fn byte_capacity(&self) -> usize {
        let index = self.lines.capacity().saturating_mul(size_of::<Line>());
        self.wire.capacity().saturating_add(index)
    }

    /// Which of the known names are there.
    #[inline]
    pub(crate) fn known(&self) -> Known {
        self.known
    }

    /// Which of the known names the user removed and did not set again: what would be added by
    /// itself is not.
    #[inline]
    pub(crate) fn removed(&self) -> Known {
        self.removed
    }

    #[inline(always)]
    fn position(&self, name: &[u8], kind: Known) -> Option<usize> {
        // The usual case costs no search: a known name that is not there.
        if !kind.is_empty() && !self.known.contains(kind) {
            return None;
        }
        self.lines.iter().position(|line| {
            usize::from(line.name_bytes) == name.len()
                && names_equal(line.name_in(&self.wire), name)
        })
    }

    // With a constant name and value, which is the usual case, the copies are a few moves.
    #[inline(always)]
    fn push(&mut self, name: &[u8], value: &[u8], kind: Known) -> Result<(), FieldError> {
        let start = self.wire.len();
        let bytes = name.len().saturating_add(value.len()).saturating_add(LINE_OVERHEAD);
        if start.saturating_add(bytes) > SECTION_BYTES_MAX {
            return Err(FieldError::TooLarge);
        }
        self.wire.reserve(bytes);
        self.wire.extend_from_slice(name);
        self.wire.extend_from_slice(b": ");
        self.wire.extend_from_slice(value);
        self.wire.extend_from_slice(b"\r\n");
        self.lines.push(Line {
            start: start as u16,
            name_bytes: name.len() as u16,
            value_bytes: value.len() as u16,
        });
        self.known.insert(kind);
        self.removed.remove(kind);
        Ok(())
    }

    /// Puts a line in the place of `first` and removes all later lines of that name.
    #[cold]
    fn replace(&mut self, first: usize, name: &[u8], value: &[u8]) -> Result<(), FieldError> {
        let Some(line) = self.lines.get_mut(first) else {
            return Ok(());
        };
        let old = line.bytes();
        let new = name.len().saturating_add(value.len()).saturating_add(LINE_OVERHEAD);
        if self.wire.len().saturating_sub(old).saturating_add(new) > SECTION_BYTES_MAX {
            return Err(FieldError::TooLarge);
        }
        let start = usize::from(line.start);
        line.name_bytes = name.len() as u16;
        line.value_bytes = value.len() as u16;
        let parts = [name, b": ", value, b"\r\n"];
        let wire = parts.into_iter().flatten().copied();
        self.wire.splice(start..start.saturating_add(old), wire);
        let mut start = start;
        for line in self.lines.iter_mut().skip(first) {
            line.start = start as u16;
            start = start.saturating_add(line.bytes());
        }
        self.keep(|at, line_name| at <= first || !names_equal(line_name, name));
        Ok(())
    }

    /// Keeps the lines for which `wanted` is true, given their place and name.
    fn keep(&mut self, mut wanted: impl FnMut(usize, &[u8]) -> bool) {
        let FieldList { wire, lines, .. } = self;
        let (mut at, mut end) = (0usize, 0usize);
        lines.retain_mut(|line| {
            let stays = wanted(at, line.name_in(wire));
            at = at.saturating_add(1);
            if stays {
                let start = usize::from(line.start);
                if start != end {
                    wire.copy_within(start..start.saturating_add(line.bytes()), end);
                    line.start = end as u16;
                }
                end = end.saturating_add(line.bytes());
            }
            stays
        });
        wire.truncate(end);
    }
}

/// Checks name and value and gives the name's kind. A known name is a token.
#[inline(always)]
fn check(name: &[u8], value: &[u8]) -> Result<Known, FieldError> {
    let kind = Known::of(name);
    if kind.is_empty() && !is_token(name) {
        return Err(FieldError::Name);
    }
    if !is_field_value(value) {
        return Err(FieldError::Value);
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(lines: &[(&str, &str)]) -> FieldList {
        let mut list = FieldList::default();
        for (name, value) in lines {
            list.append(name.as_bytes(), value.as_bytes()).unwrap();
        }
        list
    }

    fn wire(list: &FieldList) -> String {
        let mut from_index = Vec::new();
        for (name, value) in list.iter() {
            from_index.extend_from_slice(name);
            from_index.extend_from_slice(b": ");
            from_index.extend_from_slice(value);
            from_index.extend_from_slice(b"\r\n");
        }
        assert_eq!(from_index, list.wire(), "index and wire form agree");
        String::from_utf8(from_index).unwrap()
    }

    #[test]
    fn set_appends_fresh_names_and_replaces_in_place() {
        let mut list =
            list(&[("A", "1"), ("Bb", "2"), ("C", "3"), ("bB", "4"), ("D", ""), ("BB", "5")]);
        list.set(b"bb", b"a longer value").unwrap();
        assert_eq!(wire(&list), "A: 1\r\nbb: a longer value\r\nC: 3\r\nD: \r\n");
        list.set(b"BB", b"").unwrap();
        list.set(b"d", b"x").unwrap();
        list.set(b"E", b"e").unwrap();
        assert_eq!(wire(&list), "A: 1\r\nBB: \r\nC: 3\r\nd: x\r\nE: e\r\n");
    }

    #[test]
    fn join_makes_one_line_of_a_name() {
        let mut list = list(&[("A", "1"), ("Bb", "2"), ("C", "3")]);
        list.join(b"bb", b"4").unwrap();
        list.join(b"D", b"5").unwrap();
        list.join(b"d", b"").unwrap();
        assert_eq!(wire(&list), "A: 1\r\nBb: 2; 4\r\nC: 3\r\nD: 5; \r\n");
        assert_eq!(list.join(b"a", b"\n"), Err(FieldError::Value));
        let long = vec![b'x'; SECTION_BYTES_MAX - 20];
        assert_eq!(list.join(b"a", &long), Err(FieldError::TooLarge));
        assert_eq!(list.first(b"a"), Some(&b"1"[..]));
    }

    #[test]
    fn remove_takes_all_lines_of_a_name() {
        let mut list = list(&[("A", "1"), ("B", "2"), ("a", "3"), ("C", "4")]);
        assert!(list.remove(b"A"));
        assert!(!list.remove(b"A"));
        assert_eq!(wire(&list), "B: 2\r\nC: 4\r\n");
        assert!(list.remove(b"C") && list.remove(b"b"));
        assert!(list.is_empty() && list.wire().is_empty());
    }

    #[test]
    fn lookups() {
        let list = list(&[("Set-Cookie", "a"), ("X", "y"), ("set-cookie", "b")]);
        assert!(list.has(b"SET-COOKIE") && !list.has(b"cookie"));
        assert_eq!(list.first(b"set-cookie"), Some(&b"a"[..]));
        assert_eq!(list.all(b"Set-Cookie").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(list.first(b"Date"), None);
    }

    #[test]
    fn known_and_removed_names() {
        let rows: [(&[u8], Known); 11] = [
            (b"Content-Length", Known::CONTENT_LENGTH),
            (b"TRANSFER-ENCODING", Known::TRANSFER_ENCODING),
            (b"connection", Known::CONNECTION),
            (b"Keep-Alive", Known::KEEP_ALIVE),
            (b"Date", Known::DATE),
            (b"Trailer", Known::TRAILER),
            (b"Host", Known::HOST),
            (b"Expect", Known::EXPECT),
            (b"Upgrade", Known::UPGRADE),
            (b"Authorization", Known::AUTHORIZATION),
            (b"Content-Type", Known::CONTENT_TYPE),
        ];
        let mut list = FieldList::default();
        for (name, kind) in rows {
            assert!(!list.known().contains(kind));
            list.append(name, b"1").unwrap();
            list.append(name, b"2").unwrap();
            assert!(list.known().contains(kind) && !list.removed().contains(kind));
            assert!(list.remove(name));
            assert!(!list.known().contains(kind) && list.removed().contains(kind));
            list.set(name, b"3").unwrap();
            list.set(name, b"4").unwrap();
            assert!(list.known().contains(kind) && list.removed().is_empty());
            assert_eq!(list.all(name).collect::<Vec<_>>(), [b"4"]);
        }
        assert!(!list.remove(b"Datx") && list.removed().is_empty());
        list.clear();
        assert!(list.known().is_empty() && list.is_empty());
        assert!(!list.remove(b"Date"), "there was none");
        assert!(list.removed().contains(Known::DATE), "but it is not wanted");
    }

    #[test]
    fn refusals_leave_the_list_alone() {
        let mut list = list(&[("A", "1")]);
        for name in ["", "a b", "a:", "a\r\n", "\u{e9}", "a\0", "content\rlength"] {
            assert_eq!(list.set(name.as_bytes(), b"x"), Err(FieldError::Name), "{name:?}");
            assert_eq!(list.append(name.as_bytes(), b"x"), Err(FieldError::Name), "{name:?}");
        }
        for value in ["\r", "\n", "a\r\nB: c", "\0", "\u{7f}", "12345678901\u{1b}"] {
            assert_eq!(list.set(b"A", value.as_bytes()), Err(FieldError::Value), "{value:?}");
            assert_eq!(list.append(b"date", value.as_bytes()), Err(FieldError::Value), "{value:?}");
        }
        let long = vec![b'x'; SECTION_BYTES_MAX];
        assert_eq!(list.set(b"A", &long), Err(FieldError::TooLarge));
        assert_eq!(list.set(b"B", &long), Err(FieldError::TooLarge));
        assert_eq!(list.append(&long, b"x"), Err(FieldError::TooLarge));
        assert_eq!(wire(&list), "A: 1\r\n");
        // Exactly the limit fits.
        list.set(b"A", &long[..SECTION_BYTES_MAX - 5]).unwrap();
        assert_eq!(list.wire().len(), SECTION_BYTES_MAX);
        assert_eq!(list.append(b"b", b""), Err(FieldError::TooLarge));
        list.set(b"a", b"\xe9\t").unwrap();
        assert_eq!(list.wire(), b"a: \xe9\t\r\n");
    }
}
