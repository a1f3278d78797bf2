//! Responses off the wire, read by the oracle: whatever it cannot read, no client should have to.

use onloop::internals::{ContentEnd, Question};

use crate::oracle::{self, Fields, Stop, Text};

/// A response as it stood on the wire, without what changes from one run to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub reason: Text,
    /// Without `Date`.
    pub fields: Fields,
    pub content: Text,
    pub trailers: Fields,
    /// Where the stream ended inside it.
    pub is_cut: bool,
}

impl Answer {
    pub fn is_final(&self) -> bool {
        self.status >= 200
    }

    pub fn closes(&self) -> bool {
        oracle::has_element(&self.fields, "connection", "close")
    }
}

/// What a connection sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answers {
    /// 100 is left out: whether it is sent depends on whether content has come.
    pub list: Vec<Answer>,
    /// Behind an upgrade or CONNECT.
    pub raw: Text,
}

/// Reads everything that a server has sent before the end of the stream; `asked` gives the question that the final
/// response of this number answers.
pub fn read(bytes: &[u8], asked: impl Fn(usize) -> Question) -> Answers {
    let mut answers = Answers::default();
    let mut rest = bytes;
    let mut finals = 0;
    while !rest.is_empty() {
        let question = asked(finals);
        let Some((answer, length)) = one(rest, question) else {
            panic!("no response: {:?}", String::from_utf8_lossy(rest));
        };
        rest = &rest[length..];
        let tunnel = question == Question::Connect && (200..300).contains(&answer.status);
        if answer.status == 101 || (tunnel && !answer.is_cut) {
            answers.raw = std::mem::take(&mut rest).into();
        }
        finals += usize::from(answer.is_final());
        if answer.status != 100 {
            answers.list.push(answer);
        }
    }
    answers
}

/// `None` where it is none; a response that is cut off takes all that is left.
fn one(bytes: &[u8], question: Question) -> Option<(Answer, usize)> {
    let (head, start) = match oracle::response(bytes) {
        Ok(found) => found,
        Err(Stop::Wrong) => return None,
        Err(Stop::Incomplete) => {
            let nothing = Answer {
                status: 999,
                reason: Text::default(),
                fields: Fields::new(),
                content: bytes.into(),
                trailers: Fields::new(),
                is_cut: true,
            };
            return Some((nothing, bytes.len()));
        }
    };
    let end = oracle::response_end(&head, question).ok()?;
    let rest = &bytes[start..];
    let mut answer = Answer {
        status: head.status,
        reason: head.reason,
        fields: head.fields,
        content: Text::default(),
        trailers: Fields::new(),
        is_cut: false,
    };
    answer.fields.retain(|(name, _)| !name.eq_ignore_ascii_case(b"date"));
    let length = match end {
        ContentEnd::None => 0,
        ContentEnd::UntilClose => rest.len(),
        ContentEnd::Length(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            answer.is_cut = length > rest.len();
            length.min(rest.len())
        }
        ContentEnd::Chunked => match oracle::chunked(rest) {
            Ok((chunked, length)) => {
                (answer.content, answer.trailers) = (chunked.content, chunked.trailers);
                return Some((answer, start + length));
            }
            Err(Stop::Wrong) => return None,
            Err(Stop::Incomplete) => {
                answer.is_cut = true;
                return Some((answer, bytes.len()));
            }
        },
    };
    answer.content = rest[..length].into();
    Some((answer, start + length))
}
