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

/// Rows that the table does not have yet.
pub(crate) mod rows {
    /// Node sets it when the request is made, so it is told and keeps its place; ours is added when the head is
    /// sent, first of all fields, unless the program has set its own.
    pub(crate) const HOST: &str = "`Host` of a request";
    /// Node uses the connection again unless the server closes it; ours does not (RFC 9112 §9.6).
    pub(crate) const CLOSE: &str = "`Connection: close` set on a request";
    /// Node sends keep-alive though it will close; ours adds a line that says close.
    pub(crate) const KEEP: &str =
        "`Connection: keep-alive` set on a request whose connection is not kept";
    /// Node repairs them as browsers do: dots, spaces, backslashes, numbers for hosts.
    pub(crate) const URLS: &str = "URLs that are malformed or ambiguous";
    /// Node makes them upper case.
    pub(crate) const METHODS: &str = "methods in lower case";
    /// Node sends whatever is visible; ours what RFC 9112 §3.2 lets stand there.
    pub(crate) const PATHS: &str = "the option `path`";
    /// Node sends them so; ours adds the colon that RFC 7617 wants.
    pub(crate) const COLON: &str = "credentials without a colon";
    /// Node tells it to the request and another one to the response; ours once, to the response.
    pub(crate) const ONCE: &str = "what breaks a response off";
    /// Node tells its response nothing; ours `ECONNRESET`.
    pub(crate) const DESTROYED: &str = "`destroy` of a response";
    /// Node goes on with what came in the same packet; ours tells nothing more.
    pub(crate) const SILENT: &str = "`destroy` in `on_continue`";
    /// Node tells the end of the answer behind that of the request; ours as they come. Where the answer closes the
    /// connection Node does not send the rest.
    pub(crate) const EARLY: &str = "answers to requests that are still being written";
    /// Node tells the program; ours makes the request again where that is safe.
    pub(crate) const REPEATED: &str = "a kept connection that dies before the answer";
    /// Node calls each time; ours once.
    pub(crate) const CONTINUE: &str = "100 more than once";
    /// Node takes them for the connection's last words; ours waits for the answer.
    pub(crate) const NOT_LAST: &str = "informational responses that say close";
    /// Node closes the connection; ours keeps it, since there is no content.
    pub(crate) const HEAD: &str = "answers to HEAD that tell no length";
    /// Node judges their fields; ours does not look at them (RFC 9112 §6.3).
    pub(crate) const EMPTY: &str = "framing fields of responses without content";
    /// Node reads the content by chunks, or up to the end; ours refuses.
    pub(crate) const CODINGS: &str = "`chunked` twice, or no coding at all";
    /// Node skips them; ours refuses: RFC 9112 §2.2 has servers skip them.
    pub(crate) const BLANK: &str = "blank lines before a response";
    /// Node takes RTSP, three digits below 100, and NUL in the reason.
    pub(crate) const STATUS: &str = "status lines that are none";
    /// Node hands the connection over where the fields say so, ours wherever the status does.
    pub(crate) const SWITCH: &str = "101 without `Upgrade`";
    /// Node uses connections for the requests that wait; ours does not keep them.
    pub(crate) const LIMITS: &str = "agents that keep no connections but have a limit";
    /// Node takes it for the default.
    pub(crate) const ZERO: &str = "`max_free_sockets` of zero";
    /// Node tells it when its turn comes; ours at once.
    pub(crate) const QUEUED: &str = "a request that is destroyed while it waits";
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\nContent-Length: 2\n\nok";
