//! A case: what a client does and what its server says, and whether what the server receives and what the client's
//! user is told must be the same.
//!
//! Texts of cases are written with `\n` for CRLF. A client's program is in plain words, see `client.js`.

/// What a server does on a connection.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Wait until one more request is complete.
    Request,
    /// Wait until this text has come.
    Text(String),
    Send(Vec<u8>),
    /// The same byte by byte.
    Pieces(Vec<u8>),
    /// End our side, and go on reading.
    Shut,
    /// Wait until the client has ended its side.
    Left,
    /// End both sides.
    Close,
    /// Break the connection.
    Reset,
}

/// A row of the table of differences in `docs/node-parity.md`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    Number(u32),
    /// Its matter, where the table does not have it yet.
    Named(&'static str),
}

impl From<u32> for Row {
    fn from(number: u32) -> Row {
        Row::Number(number)
    }
}

impl From<&'static str> for Row {
    fn from(matter: &'static str) -> Row {
        Row::Named(matter)
    }
}

/// What must be seen on one of the sides.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    /// By ours what is seen by Node.
    Same,
    /// What is seen by Node (one of these, where it depends on its version), and by ours.
    Differs { row: Row, node: Vec<String>, ours: String },
}

#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) program: String,
    /// What the server does on each connection; behind that it answers every request.
    pub(crate) scripts: Vec<Vec<Step>>,
    /// What the server receives.
    pub(crate) wire: Expected,
    /// What the user is told.
    pub(crate) log: Expected,
    /// Told, too: when requests are out and when exchanges are over.
    pub(crate) full: bool,
    /// Node says that requests are closed before it says so of their responses: row 83.
    pub(crate) closes_first: bool,
    /// Earlier versions of Node have another opinion, each its own.
    pub(crate) since: u32,
}

/// A program, whatever its server answers.
pub(crate) fn program(text: &str) -> Case {
    Case {
        program: text.to_owned(),
        scripts: Vec::new(),
        wire: Expected::Same,
        log: Expected::Same,
        full: false,
        closes_first: false,
        since: 0,
    }
}

/// A request to the root of the server, and what is done with it.
pub(crate) fn ask(method: &str, steps: &str) -> Case {
    program(&format!("ask {method}|/ & {steps}"))
}

pub(crate) fn get(steps: &str) -> Case {
    ask("GET", steps)
}

pub(crate) fn post(steps: &str) -> Case {
    ask("POST", steps)
}

/// What becomes of an answer to GET.
pub(crate) fn answer(text: &str) -> Case {
    answer_to("GET", text)
}

pub(crate) fn answer_to(method: &str, text: &str) -> Case {
    ask(method, "end").on([Step::Request, send(text)])
}

/// What becomes of an answer that ends with the connection.
pub(crate) fn last_answer(text: &str) -> Case {
    ask("GET", "end").on([Step::Request, send(text), Step::Close])
}

pub(crate) fn send(text: &str) -> Step {
    Step::Send(wire(text))
}

/// The same byte by byte.
pub(crate) fn pieces(text: &str) -> Step {
    Step::Pieces(wire(text))
}

pub(crate) fn until(text: &str) -> Step {
    Step::Text(text.replace('\n', "\r\n"))
}

/// One byte for each character.
fn wire(text: &str) -> Vec<u8> {
    let text = text.replace('\n', "\r\n");
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("a byte")).collect()
}

impl Case {
    /// What the server does on the next connection.
    pub(crate) fn on(mut self, script: impl IntoIterator<Item = Step>) -> Case {
        self.scripts.push(script.into_iter().collect());
        self
    }

    /// All events are told.
    pub(crate) fn full(mut self) -> Case {
        self.full = true;
        self
    }

    /// All events are told, and they differ in nothing but row 83.
    pub(crate) fn closes(mut self) -> Case {
        self.closes_first = true;
        self.full()
    }

    /// The server receives something else on purpose.
    pub(crate) fn sends(self, row: impl Into<Row>, node: &str, ours: &str) -> Case {
        self.sends_one_of(row, &[node], ours)
    }

    pub(crate) fn sends_one_of(mut self, row: impl Into<Row>, node: &[&str], ours: &str) -> Case {
        let node = node.iter().map(|text| expand(text)).collect();
        self.wire = Expected::Differs { row: row.into(), node, ours: expand(ours) };
        self
    }

    /// The user is told something else on purpose.
    pub(crate) fn tells(self, row: impl Into<Row>, node: &str, ours: &str) -> Case {
        self.tells_one_of(row, &[node], ours)
    }

    pub(crate) fn tells_one_of(mut self, row: impl Into<Row>, node: &[&str], ours: &str) -> Case {
        let node = node.iter().map(|text| (*text).to_owned()).collect();
        self.log = Expected::Differs { row: row.into(), node, ours: ours.to_owned() };
        self
    }

    /// Skipped where Node is older.
    pub(crate) fn since(mut self, version: u32) -> Case {
        self.since = version;
        self
    }

    pub(crate) fn name(&self) -> String {
        let mut name = self.program.clone();
        for script in &self.scripts {
            for step in script {
                name.push_str(" / ");
                name.push_str(&match step {
                    Step::Send(bytes) | Step::Pieces(bytes) => {
                        bytes.iter().map(|byte| char::from(*byte)).collect()
                    }
                    other => format!("{other:?}"),
                });
            }
            name.push_str(" //");
        }
        if name.len() > 600 {
            name = name.chars().take(600).collect();
        }
        name
    }

    /// One more request can tell whether the connection was kept: not where the server has ended it, which the
    /// client may hear of too late.
    pub(crate) fn is_probed(&self) -> bool {
        let ends = |step: &Step| matches!(step, Step::Shut | Step::Close | Step::Reset);
        !self.scripts.iter().flatten().any(ends)
    }
}

/// What stands in an expectation for what most requests have: `{kept}` and `{last}` are fields, `{get}` and
/// `{post}` are all of a head but its framing.
const SHORT: [(&str, &str); 4] = [
    ("{get}", "GET / HTTP/1.1\n{kept}"),
    ("{post}", "POST / HTTP/1.1\n{kept}"),
    ("{kept}", "Host: 127.0.0.1:P\nConnection: keep-alive\n"),
    ("{last}", "Host: 127.0.0.1:P\nConnection: close\n"),
];

fn expand(text: &str) -> String {
    let expanded =
        SHORT.iter().fold(text.to_owned(), |text, (short, long)| text.replace(short, long));
    expanded.replace('\n', "\r\n")
}
