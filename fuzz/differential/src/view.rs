//! What a reader saw, and how it is written down.

use std::fmt::Write;

/// One message, or what came of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// `METHOD target` or the status.
    pub(crate) start: String,
    pub(crate) minor: u8,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) content: Vec<u8>,
    pub(crate) trailers: Vec<(String, Vec<u8>)>,
    /// Its end was told.
    pub(crate) done: bool,
}

/// Everything that was made of one stream.
#[derive(Debug, Default, Clone)]
pub(crate) struct View {
    pub(crate) messages: Vec<Message>,
    /// The statuses of informational responses.
    pub(crate) information: Vec<u16>,
    /// Where it ended: `kept` between two messages, `closed` because of what the last one said, `tunnel`, `cut`
    /// within a message, `refused`.
    pub(crate) end: &'static str,
    /// What the error says, where there was one.
    pub(crate) code: &'static str,
    pub(crate) why: String,
    /// How many bytes of the stream were understood before the error, where it was played whole.
    pub(crate) at: Option<u64>,
    /// Something that must not be, whatever the others say.
    pub(crate) broken: Option<String>,
}

impl View {
    /// The message that is being read.
    pub(crate) fn last(&mut self) -> &mut Message {
        if self.messages.is_empty() {
            self.broken = Some("content before a head".into());
            self.messages.push(Message::default());
        }
        let last = self.messages.len() - 1;
        &mut self.messages[last]
    }

    pub(crate) fn refuse(&mut self, error: &onloop::Error) {
        self.end = match error.code() {
            "HPE_INVALID_EOF_STATE" | "ECONNRESET" => "cut",
            _ => "refused",
        };
        self.code = error.code();
        self.why = error.to_string();
        self.at = error.bytes_parsed();
    }

    /// Whether both saw the same messages, and the same end.
    pub(crate) fn is_same(&self, other: &View) -> bool {
        self.messages == other.messages
            && self.information == other.information
            && (self.end, self.code, &self.why) == (other.end, other.code, &other.why)
    }

    /// One line of JSON. Every byte is the character of its number.
    pub(crate) fn line(&self) -> String {
        let mut line = String::from("{\"messages\":[");
        for (at, message) in self.messages.iter().enumerate() {
            if at > 0 {
                line.push(',');
            }
            message.push_to(&mut line);
        }
        let information: Vec<String> = self.information.iter().map(u16::to_string).collect();
        let _ = write!(line, "],\"information\":[{}],\"end\":", information.join(","));
        push_string(&mut line, self.end.as_bytes());
        line.push_str(",\"code\":");
        push_string(&mut line, self.code.as_bytes());
        line.push_str(",\"why\":");
        push_string(&mut line, self.why.as_bytes());
        if let Some(at) = self.at {
            let _ = write!(line, ",\"at\":{at}");
        }
        if let Some(broken) = &self.broken {
            line.push_str(",\"broken\":");
            push_string(&mut line, broken.as_bytes());
        }
        line.push('}');
        line
    }
}

impl Message {
    fn push_to(&self, line: &mut String) {
        line.push_str("{\"start\":");
        push_string(line, self.start.as_bytes());
        let _ = write!(line, ",\"minor\":{},\"fields\":", self.minor);
        push_fields(line, &self.fields);
        line.push_str(",\"content\":");
        push_string(line, &self.content);
        line.push_str(",\"trailers\":");
        push_fields(line, &self.trailers);
        let _ = write!(line, ",\"done\":{}}}", self.done);
    }
}

fn push_fields(line: &mut String, fields: &[(String, Vec<u8>)]) {
    line.push('[');
    for (at, (name, value)) in fields.iter().enumerate() {
        line.push_str(if at > 0 { ",[" } else { "[" });
        push_string(line, name.as_bytes());
        line.push(',');
        push_string(line, value);
        line.push(']');
    }
    line.push(']');
}

fn push_string(line: &mut String, bytes: &[u8]) {
    line.push('"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => {
                line.push('\\');
                line.push(char::from(byte));
            }
            b' '..=b'~' => line.push(char::from(byte)),
            _ => drop(write!(line, "\\u{byte:04x}")),
        }
    }
    line.push('"');
}

/// Names and values as the public API gives them.
pub(crate) fn owned<'a>(
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> Vec<(String, Vec<u8>)> {
    fields.map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}
