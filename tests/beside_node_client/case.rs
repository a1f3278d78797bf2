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

/// What must be seen on one of the sides.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    /// By ours what is seen by Node.
    Same,
    /// The row of the table of differences in `docs/node-parity.md`, what is seen by Node (one of these, where it
    /// depends on its version), and by ours.
    Differs { row: u32, node: Vec<String>, ours: String },
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
    /// Node may say that requests are closed before it says so of their responses, row 83.
    pub(crate) ordered: bool,
}

/// A program, whatever its server answers.
pub(crate) fn program(text: &str) -> Case {
    Case {
        program: text.to_owned(),
        scripts: Vec::new(),
        wire: Expected::Same,
        log: Expected::Same,
        full: false,
        ordered: false,
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

    /// All events are told, the end of each request last.
    pub(crate) fn full(mut self) -> Case {
        self.full = true;
        self
    }

    /// All events are told in the order in which they come.
    pub(crate) fn ordered(mut self) -> Case {
        self.ordered = true;
        self.full()
    }

    /// The server receives something else on purpose.
    pub(crate) fn sends(self, row: u32, node: &str, ours: &str) -> Case {
        self.sends_one_of(row, &[node], ours)
    }

    pub(crate) fn sends_one_of(mut self, row: u32, node: &[&str], ours: &str) -> Case {
        let node = node.iter().map(|text| expand(text)).collect();
        self.wire = Expected::Differs { row, node, ours: expand(ours) };
        self
    }

    /// The user is told something else on purpose.
    pub(crate) fn tells(self, row: u32, node: &str, ours: &str) -> Case {
        self.tells_one_of(row, &[node], ours)
    }

    pub(crate) fn tells_one_of(mut self, row: u32, node: &[&str], ours: &str) -> Case {
        let node = node.iter().map(|text| (*text).to_owned()).collect();
        self.log = Expected::Differs { row, node, ours: ours.to_owned() };
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

/// Rows of the table of differences that have many cases.
pub(crate) mod rows {
    pub(crate) const HOST: u32 = 114;
    /// Two of them, or one that names no host.
    pub(crate) const HOST_TWICE: u32 = 115;
    pub(crate) const HOST_OF_CONNECT: u32 = 116;
    pub(crate) const CLOSE: u32 = 117;
    pub(crate) const KEEP: u32 = 118;
    pub(crate) const URLS: u32 = 119;
    pub(crate) const METHODS: u32 = 120;
    pub(crate) const PATHS: u32 = 121;
    pub(crate) const COLON: u32 = 122;
    /// What breaks a response off is told once.
    pub(crate) const ONCE: u32 = 123;
    pub(crate) const DESTROYED: u32 = 124;
    /// Nothing is told after `destroy` in `on_continue`.
    pub(crate) const SILENT: u32 = 125;
    /// Answers to requests that are still being written.
    pub(crate) const EARLY: u32 = 126;
    /// On a kept connection that died.
    pub(crate) const REPEATED: u32 = 127;
    pub(crate) const CONTINUE: u32 = 128;
    /// Informational responses that say close.
    pub(crate) const NOT_LAST: u32 = 129;
    pub(crate) const HEAD: u32 = 130;
    /// Framing fields of responses without content.
    pub(crate) const EMPTY: u32 = 131;
    pub(crate) const CODINGS: u32 = 132;
    pub(crate) const BLANK: u32 = 133;
    pub(crate) const STATUS: u32 = 134;
    /// 101 without `Upgrade` or its option.
    pub(crate) const SWITCH: u32 = 135;
    /// Answers to CONNECT that make no tunnel.
    pub(crate) const REFUSED: u32 = 136;
    /// `max_free_sockets` of zero.
    pub(crate) const ZERO: u32 = 137;
    /// A request that is destroyed while it waits.
    pub(crate) const QUEUED: u32 = 138;
    /// Hosts in capital letters.
    pub(crate) const CASE: u32 = 152;
    /// `destroy` before all that has come was told.
    pub(crate) const UNTOLD: u32 = 153;
    pub(crate) const CONTENT_OF_CONNECT: u32 = 154;
    /// 101 to what was not asked for.
    pub(crate) const UNNAMED: u32 = 164;
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\nContent-Length: 2\n\nok";
