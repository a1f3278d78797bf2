//! Reads responses off the wire, plainly: no code of the crate's judges the crate's bytes.

/// A response as it stood on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status_line: String,
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) content: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Answer {
    /// The first response in `bytes` and its length; `None` where it is not complete.
    pub(crate) fn parse(bytes: &[u8], to_head: bool, ended: bool) -> Option<(Answer, usize)> {
        let head_end = find(bytes, b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&bytes[..head_end - 4]).into_owned();
        let (status_line, fields) = head.split_once("\r\n").unwrap_or((&head, ""));
        let status_line = status_line.to_owned();
        let status: u16 = status_line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .unwrap_or_else(|| panic!("no status line: {status_line:?}"));
        let fields = parse_fields(fields);
        let mut answer =
            Answer { status_line, status, fields, content: Vec::new(), trailers: Vec::new() };
        let rest = &bytes[head_end..];
        if to_head || status < 200 || status == 204 || status == 304 {
            return Some((answer, head_end));
        }
        if answer.field("Transfer-Encoding").is_some() {
            assert_eq!(answer.field("Content-Length"), None, "both framings at once");
            let length = answer.take_chunks(rest)?;
            return Some((answer, head_end + length));
        }
        let length = match answer.field("Content-Length") {
            Some(length) => length.parse().expect("a decimal length"),
            None if ended => rest.len(),
            None => return None,
        };
        answer.content = rest.get(..length)?.to_vec();
        Some((answer, head_end + length))
    }

    fn take_chunks(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let line_end = at + find(&bytes[at..], b"\r\n")?;
            let line = std::str::from_utf8(&bytes[at..line_end]).expect("a chunk-size line");
            let size = usize::from_str_radix(line, 16).expect("a chunk size without extensions");
            at = line_end + 2;
            if size == 0 {
                break;
            }
            self.content.extend_from_slice(bytes.get(at..at + size)?);
            let end = bytes.get(at + size..at + size + 2)?;
            assert_eq!(end, b"\r\n", "a chunk ends with crlf");
            at += size + 2;
        }
        if bytes.get(at..at + 2)? == b"\r\n" {
            return Some(at + 2);
        }
        let end = at + find(&bytes[at..], b"\r\n\r\n")? + 4;
        self.trailers = parse_fields(&String::from_utf8_lossy(&bytes[at..end - 4]));
        Some(end)
    }

    /// The value of the only field of this name.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name).into_iter();
        let first = values.next();
        assert_eq!(values.next(), None, "{name} stands more than once");
        first
    }

    /// The values of all fields of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    /// The names of the fields, sorted: their order means nothing.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.fields.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }
}

fn parse_fields(text: &str) -> Vec<(String, String)> {
    let lines = text.split("\r\n").filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (name, value) =
                line.split_once(':').unwrap_or_else(|| panic!("no field: {line:?}"));
            (name.to_owned(), value.trim().to_owned())
        })
        .collect()
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
