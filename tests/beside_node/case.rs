//! A case: bytes that are sent to both servers, and what must come back.
//!
//! Texts of cases are written with `\n` for CRLF and with the program of a request in braces, in plain words:
//! `GET {set X-A|1 & end hello} HTTP/1.1\nHost: h\n\n`.

/// What a client does.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// Wait until so many final answers are complete, or the connection is over.
    Answers(usize),
    /// Wait until this text has come, or the connection is over.
    Text(String),
    /// End our side, and go on reading.
    Shut,
    /// Break the connection.
    Reset,
}

/// What must come back.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    /// From ours what comes from Node.
    Same,
    /// The same, from Node of this version on at the latest; from earlier ones maybe this.
    SameSince { version: u32, earlier: String, ours: String },
    /// The row of the table of differences, what comes from Node (one of these, where it depends on its
    /// version), and what comes from ours.
    Differs { row: u32, node: Vec<String>, ours: String },
}

#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) server: &'static str,
    pub(crate) steps: Vec<Step>,
    pub(crate) expected: Expected,
    /// The key of the log that is compared, too.
    pub(crate) log: Option<String>,
    /// A method of Node's that some of its versions do not have.
    pub(crate) needs: Option<&'static str>,
    /// Earlier versions of Node have another opinion, each its own.
    pub(crate) since: u32,
}

/// GET with this program.
pub(crate) fn get(program: &str) -> Case {
    raw(&format!("GET {{{program}}} HTTP/1.1\nHost: h\n\n"))
}

/// The same with these header lines.
pub(crate) fn get_with(program: &str, fields: &str) -> Case {
    raw(&format!("GET {{{program}}} HTTP/1.1\nHost: h\n{fields}\n"))
}

/// These requests at once, and as many answers.
pub(crate) fn raw(text: &str) -> Case {
    let requests = text.matches(" HTTP/1.").count().max(1);
    let mut case = steps(text, vec![Step::Send(wire(text)), Step::Answers(requests)]);
    let program = text.split_once("{log ");
    case.log = program.and_then(|(_, rest)| Some(rest.split([' ', '}']).next()?.to_owned()));
    case
}

/// These bytes as they are.
pub(crate) fn bytes(name: &str, bytes: &[u8]) -> Case {
    steps(name, vec![Step::Send(bytes.to_vec()), Step::Answers(1)])
}

/// Anything.
pub(crate) fn steps(name: &str, steps: Vec<Step>) -> Case {
    let (name, server) = (name.to_owned(), "plain");
    Case { name, server, steps, expected: Expected::Same, log: None, needs: None, since: 0 }
}

/// Sends a text.
pub(crate) fn send(text: &str) -> Step {
    Step::Send(wire(text))
}

/// Waits for a text.
pub(crate) fn until(text: &str) -> Step {
    Step::Text(text.replace('\n', "\r\n"))
}

impl Case {
    /// To the server of this name instead of `plain`.
    pub(crate) fn to(mut self, server: &'static str) -> Case {
        self.server = server;
        self
    }

    /// Waits for so many answers.
    pub(crate) fn answers(mut self, count: usize) -> Case {
        self.steps.pop();
        self.steps.push(Step::Answers(count));
        self
    }

    /// Waits for this text, where no answer is complete that both agree about.
    pub(crate) fn until(mut self, text: &str) -> Case {
        self.steps.pop();
        self.steps.push(until(text));
        self
    }

    /// And does this afterwards.
    pub(crate) fn then(mut self, step: Step) -> Case {
        self.steps.push(step);
        self
    }

    pub(crate) fn log(mut self, key: &str) -> Case {
        self.log = Some(key.to_owned());
        self
    }

    /// Differs on purpose, as this row of the table of differences says.
    pub(crate) fn differs(self, row: u32, node: &str, ours: &str) -> Case {
        self.varies(row, &[node], ours)
    }

    /// The same where Node's answer depends on its version.
    pub(crate) fn varies(mut self, row: u32, node: &[&str], ours: &str) -> Case {
        let node = node.iter().map(|text| expand(text)).collect();
        self.expected = Expected::Differs { row, node, ours: expand(ours) };
        self
    }

    /// Node's answer was this before the version that gives ours.
    pub(crate) fn changed(mut self, version: u32, earlier: &str, ours: &str) -> Case {
        let (earlier, ours) = (expand(earlier), expand(ours));
        self.expected = Expected::SameSince { version, earlier, ours };
        self
    }

    /// Skipped where Node is older.
    pub(crate) fn since(mut self, version: u32) -> Case {
        self.since = version;
        self
    }

    pub(crate) fn needs(mut self, method: &'static str) -> Case {
        self.needs = Some(method);
        self
    }
}

/// What stands in an expectation for what most answers have: `{kept}` and `{last}` are fields, `{ok}` and
/// `{ok, close}` have the status line, too, and `{400}` is our whole answer to what is malformed.
const SHORT: [(&str, &str); 5] = [
    ("{400}", "HTTP/1.1 400 Bad Request\n{last}Content-Length: 0\n\n[closed]"),
    ("{ok}", "HTTP/1.1 200 OK\n{kept}"),
    ("{ok, close}", "HTTP/1.1 200 OK\n{last}"),
    ("{kept}", "Date: D\nConnection: keep-alive\nKeep-Alive: timeout=5\n"),
    ("{last}", "Date: D\nConnection: close\n"),
];

fn expand(text: &str) -> String {
    let expanded =
        SHORT.iter().fold(text.to_owned(), |text, (short, long)| text.replace(short, long));
    expanded.replace('\n', "\r\n")
}

/// The bytes of a text.
fn wire(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (program, behind) = behind.split_once('}').expect("a closing brace");
        bytes.extend(before.replace('\n', "\r\n").bytes());
        bytes.extend(b"/do/");
        for c in program.chars() {
            match c {
                'a'..='z' | 'A'..='Z' | '0'..='9' => bytes.push(c as u8),
                _ => bytes.extend(format!("~{:02x}", u32::from(c)).bytes()),
            }
        }
        rest = behind;
    }
    bytes.extend(rest.replace('\n', "\r\n").bytes());
    bytes
}
