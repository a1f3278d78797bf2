//! Fields that are set together, in time that grows with their bytes: where they are those of a peer's message, which
//! a proxy passes on, the peer chooses how many there are, and with which names.

use std::borrow::Cow;
use std::collections::HashMap;

use super::super::token::{AnyCase, names_equal};
use super::{FieldError, FieldList, Known};

/// Names times names up to which looking for each of them in all is the faster way.
const FEW: usize = 1024;

/// The first line of a name that is being set.
#[derive(Clone, Copy)]
enum First {
    /// Neither here before nor set yet.
    Nowhere,
    /// It will take the place of a line that was here before.
    Before(usize),
    Set(usize),
}

impl FieldList {
    /// Sets all fields of `other`. The first line of a name takes the place of those that are here, as for
    /// [`FieldList::set`]; further ones come behind all others, or, where their name `is_one_line`, onto the first.
    ///
    /// # Errors
    /// [`FieldError::TooLarge`]; the list is then as it was.
    pub(crate) fn set_all(
        &mut self,
        other: &FieldList,
        is_one_line: impl Fn(&[u8]) -> bool,
    ) -> Result<(), FieldError> {
        let names = self.lines.len().saturating_add(other.lines.len());
        if other.lines.len().saturating_mul(names) > FEW || !self.has_room_for(other) {
            *self = self.merged(other, is_one_line)?;
            return Ok(());
        }
        for (at, (name, value)) in other.iter().enumerate() {
            let repeats = other.iter().take(at).any(|(earlier, _)| names_equal(earlier, name));
            match repeats {
                false => self.set(name, value)?,
                true if is_one_line(name) => self.join(name, value)?,
                true => self.append(name, value)?,
            }
        }
        Ok(())
    }

    /// What [`FieldList::set_all`] makes of both, with one look at each line.
    #[cold]
    fn merged(
        &self,
        other: &FieldList,
        is_one_line: impl Fn(&[u8]) -> bool,
    ) -> Result<FieldList, FieldError> {
        let mut firsts: HashMap<AnyCase<'_>, First> =
            other.iter().map(|(name, _)| (AnyCase(name), First::Nowhere)).collect();
        let mut lines: Vec<(&[u8], Cow<'_, [u8]>)> = Vec::new();
        for (name, value) in self.iter() {
            match firsts.get_mut(&AnyCase(name)) {
                Some(First::Before(_)) => continue,
                Some(first) => *first = First::Before(lines.len()),
                None => {}
            }
            lines.push((name, Cow::Borrowed(value)));
        }
        for (name, value) in other.iter() {
            let first = firsts.entry(AnyCase(name)).or_insert(First::Nowhere);
            match *first {
                First::Before(at) => {
                    *first = First::Set(at);
                    if let Some(line) = lines.get_mut(at) {
                        *line = (name, Cow::Borrowed(value));
                    }
                    continue;
                }
                First::Set(at) if is_one_line(name) => {
                    if let Some((_, joined)) = lines.get_mut(at) {
                        let joined = joined.to_mut();
                        joined.extend_from_slice(b"; ");
                        joined.extend_from_slice(value);
                    }
                    continue;
                }
                First::Set(_) => {}
                First::Nowhere => *first = First::Set(lines.len()),
            }
            lines.push((name, Cow::Borrowed(value)));
        }
        let mut merged = FieldList { removed: self.removed, ..FieldList::default() };
        for (name, value) in &lines {
            merged.push(name, value, Known::of(name))?;
        }
        Ok(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ways give the same, whatever is repeated, replaced and joined.
    #[test]
    fn few_fields_and_many_are_set_alike() {
        const NAMES: [&str; 9] =
            ["a", "A", "b", "cookie", "Cookie", "date", "vary", "Content-Type", "long-name"];
        let mut random = fastrand::Rng::with_seed(7);
        let mut draw = |most: usize| {
            let mut list = FieldList::default();
            for number in 0..random.usize(0..=most) {
                let name = random.choice(NAMES).unwrap_or_default();
                list.append(name.as_bytes(), format!("{number}").as_bytes()).unwrap();
            }
            if random.bool() {
                list.remove(b"date");
            }
            list
        };
        let is_one_line = |name: &[u8]| names_equal(name, b"cookie");
        for _ in 0..5_000 {
            let (mut before, other) = (draw(6), draw(9));
            // A line that stays one has no second one here: `append_header` joins it.
            let cookies = before.all(b"cookie").count();
            if cookies > 1 {
                before.remove(b"cookie");
            }
            let many = before.merged(&other, is_one_line).unwrap();
            before.set_all(&other, is_one_line).unwrap();
            assert_eq!(before.wire(), many.wire());
            assert!(before.iter().eq(many.iter()));
            assert_eq!((before.known(), before.removed()), (many.known(), many.removed()));
        }
    }

    #[test]
    fn fields_that_have_no_room_change_nothing() {
        let (mut list, mut other) = (FieldList::default(), FieldList::default());
        list.append(b"a", &[b'x'; 40_000]).unwrap();
        other.append(b"b", &[b'x'; 40_000]).unwrap();
        let before = list.clone();
        assert_eq!(list.set_all(&other, |_| false), Err(FieldError::TooLarge));
        assert!(list.iter().eq(before.iter()));
        // What is replaced makes room.
        other.clear();
        other.append(b"A", &[b'y'; 40_000]).unwrap();
        assert_eq!(list.set_all(&other, |_| false), Ok(()));
        assert!(list.iter().eq([(&b"A"[..], &[b'y'; 40_000][..])]));
    }
}
