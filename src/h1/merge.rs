//! The fields of a message with repeated names brought together: the view that Node calls `headers`.
//!
//! Reading a message never merges anything, and no decision of ours is made from this view: what steers framing
//! or routing was refused long before where it is repeated. It is for users who want one value per name.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::head::Head;
use super::token::names_equal;

/// What becomes of a second value of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    /// It is dropped.
    First,
    /// It stands behind the first, after this.
    Joined(&'static [u8]),
    /// It stays a value of its own: RFC 6265 §3 forbids folding.
    Apart,
}

/// Names that are no lists, so that joining their values would make nonsense of them.
const FIRST_WINS: [&str; 18] = [
    "age",
    "authorization",
    "content-length",
    "content-type",
    "etag",
    "expires",
    "from",
    "host",
    "if-modified-since",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "proxy-authorization",
    "referer",
    "retry-after",
    "server",
    "user-agent",
];

const LIST: Rule = Rule::Joined(b", ");

impl Head {
    fn rule(&self, name: &str) -> Rule {
        let name = name.as_bytes();
        let is = |known: &str| names_equal(name, known.as_bytes());
        if is("set-cookie") {
            Rule::Apart
        } else if is("cookie") {
            Rule::Joined(b"; ")
        } else if !self.join_duplicates && FIRST_WINS.into_iter().any(is) {
            Rule::First
        } else {
            LIST
        }
    }

    /// The value of a name by its rule, which for `set-cookie` gives the first.
    pub(crate) fn joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut values = self.find_all(name);
        let first = values.next()?;
        let Rule::Joined(separator) = self.rule(name) else {
            return Some(Cow::Borrowed(first));
        };
        let mut joined = Cow::Borrowed(first);
        for value in values {
            let bytes = joined.to_mut();
            bytes.extend_from_slice(separator);
            bytes.extend_from_slice(value);
        }
        Some(joined)
    }

    /// All names in lower case with their values by their rules, in the order in which the names first came;
    /// each once but for `set-cookie`.
    pub(crate) fn joined_fields(&self) -> Vec<(String, Vec<u8>)> {
        let mut merged: Vec<(String, Vec<u8>)> = Vec::new();
        // A peer chooses how many names there are: looking for each in all of them would take long.
        let mut places: HashMap<String, usize> = HashMap::new();
        for (name, value) in self.fields() {
            let name = name.to_ascii_lowercase();
            let rule = self.rule(&name);
            if rule == Rule::Apart {
                merged.push((name, value.into()));
                continue;
            }
            match places.entry(name) {
                Entry::Vacant(place) => {
                    merged.push((place.key().clone(), value.into()));
                    place.insert(merged.len().saturating_sub(1));
                }
                Entry::Occupied(place) => {
                    if let (Rule::Joined(separator), Some((_, joined))) =
                        (rule, merged.get_mut(*place.get()))
                    {
                        joined.extend_from_slice(separator);
                        joined.extend_from_slice(value);
                    }
                }
            }
        }
        merged
    }

    /// All names in lower case, each once and in the order in which they first came, with all their values.
    pub(crate) fn distinct_fields(&self) -> Vec<(String, Vec<Vec<u8>>)> {
        let mut distinct: Vec<(String, Vec<Vec<u8>>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (name, value) in self.fields() {
            match places.entry(name.to_ascii_lowercase()) {
                Entry::Vacant(place) => {
                    distinct.push((place.key().clone(), vec![value.into()]));
                    place.insert(distinct.len().saturating_sub(1));
                }
                Entry::Occupied(place) => {
                    if let Some((_, values)) = distinct.get_mut(*place.get()) {
                        values.push(value.into());
                    }
                }
            }
        }
        distinct
    }
}
