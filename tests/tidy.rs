//! What no compiler checks: the arrows between the layers, ceilings of files and functions, words that have no
//! place in finished code, pages that must name what there is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may use whom by `crate::`. The first word of a path below `src/` is the layer; `lib` sees everything.
///
/// One edge goes against the arrows: the engine keeps the users' callbacks, so it names what they are called
/// with, and the options that servers and agents are made from. [`ENGINE_FROM_HTTP`] holds it to that.
const ARROWS: [(&str, &[&str]); 13] = [
    ("h1", &["h1"]),
    ("net", &["net"]),
    ("error", &["error"]),
    ("content", &["content"]),
    ("limits", &["limits"]),
    ("engine", &["engine", "h1", "net", "error", "content", "http", "limits", "posts"]),
    ("shell", &["engine"]),
    ("dispatch", &["dispatch", "engine", "error", "h1", "http", "net", "shell"]),
    ("event_loop", &["dispatch", "engine", "error", "http", "net", "posts", "shell"]),
    ("posts", &["engine", "error", "event_loop", "net"]),
    ("http", &["http", "engine", "error", "content", "h1", "limits", "net", "shell", "event_loop"]),
    ("sim", &["engine", "event_loop", "net"]),
    // The feature of that name, for benches only.
    ("internals", &["h1"]),
];

/// What the engine may name of the public face.
const ENGINE_FROM_HTTP: [&str; 15] = [
    "AgentLimits",
    "AgentOptions",
    "ConnectTarget",
    "Connection",
    "Connector",
    "DropInfo",
    "IncomingResponse",
    "Information",
    "LookupAnswer",
    "Request",
    "Response",
    "Retries",
    "Scheduling",
    "ServerOptions",
    "Socket",
];

/// What `lib.rs` re-exports, and where it stands.
const REEXPORTS: [(&str, &str); 12] = [
    ("Address", "net"),
    ("Clock", "error"),
    ("Error", "error"),
    ("ErrorKind", "error"),
    ("EventLoop", "event_loop"),
    ("Limit", "error"),
    ("Limits", "limits"),
    ("LoopHandle", "event_loop"),
    ("LoopOptions", "engine"),
    ("PanicPolicy", "engine"),
    ("Result", "error"),
    ("Sent", "error"),
];

/// Most lines of a file below `src/`, its unit tests not counted.
const FILE_LINES_MAX: usize = 600;

/// Most lines of a function, from its first line to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

struct Source {
    /// Below the crate's directory.
    name: String,
    text: String,
}

impl Source {
    /// Without the unit tests at its end.
    fn code(&self) -> &str {
        let tests = ["#[cfg(test)]\nmod tests {", "#[cfg(test)]\npub(crate) mod tests {"];
        let end = tests.iter().filter_map(|start| self.text.find(start)).min();
        &self.text[..end.unwrap_or(self.text.len())]
    }

    fn is_test(&self) -> bool {
        self.name.contains("/tests")
    }

    /// The layer of a file below `src/`.
    fn layer(&self) -> &str {
        let below = self.name.strip_prefix("src/").unwrap_or(&self.name);
        below.split(['/', '.']).next().unwrap_or(below)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below these directories.
fn sources(directories: &[&str]) -> Vec<Source> {
    let mut pending: Vec<PathBuf> = directories.iter().map(|name| root().join(name)).collect();
    let mut found = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a directory");
            pending.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).expect("below the crate").display().to_string();
            found.push(Source { name, text: fs::read_to_string(&path).expect("text") });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A line without its comment. Strings that hold two slashes lose their end, which harms nothing here.
fn without_comment(line: &str) -> &str {
    line.split("//").next().unwrap_or(line)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Every `crate::` path of some code: its first name, and the names below it up to the end of a list.
fn crate_paths(code: &str) -> Vec<(String, Vec<String>)> {
    let bare: Vec<&str> = code.lines().map(without_comment).collect();
    let bare = bare.join("\n");
    let mut paths = Vec::new();
    for part in bare.split("crate::").skip(1) {
        // `crate::{a, b::c}` is one path for each.
        let (inside, is_list) = match part.strip_prefix('{') {
            Some(list) => (list.split("};").next().unwrap_or(list), true),
            None => (part, false),
        };
        if is_list {
            let firsts = inside.split(',').filter_map(|item| words(item).next());
            paths.extend(firsts.map(|first| (first.to_owned(), Vec::new())));
            continue;
        }
        let first = words(inside).next().unwrap_or_default().to_owned();
        let rest = inside[first.len()..].strip_prefix("::").unwrap_or_default();
        let below = match rest.strip_prefix('{') {
            Some(list) => {
                words(list.split('}').next().unwrap_or(list)).map(str::to_owned).collect()
            }
            None => words(rest).take(1).map(str::to_owned).collect(),
        };
        paths.push((first, if rest.is_empty() { Vec::new() } else { below }));
    }
    paths
}

#[test]
fn the_layers_use_each_other_as_the_arrows_say() {
    let mut wrong = BTreeSet::new();
    for source in sources(&["src"]) {
        if source.layer() == "lib" || source.is_test() {
            continue;
        }
        let allowed = ARROWS.iter().find(|(layer, _)| *layer == source.layer());
        let Some((_, allowed)) = allowed else {
            wrong.insert(format!("{}: a layer that the table does not know", source.name));
            continue;
        };
        for (first, below) in crate_paths(source.code()) {
            let named = REEXPORTS.iter().find(|(name, _)| *name == first);
            let target = named.map_or(first.as_str(), |(_, layer)| layer);
            if !allowed.contains(&target) {
                wrong.insert(format!("{}: crate::{first}", source.name));
            }
            let strangers = below.iter().filter(|name| !ENGINE_FROM_HTTP.contains(&name.as_str()));
            if source.layer() == "engine" && target == "http" {
                wrong.extend(strangers.map(|name| format!("{}: crate::http::{name}", source.name)));
            }
        }
    }
    assert!(wrong.is_empty(), "against the arrows:\n{wrong:#?}");
}

#[test]
fn the_protocol_and_the_network_know_nothing_of_each_other() {
    for source in sources(&["src/h1", "src/net"]) {
        let code: Vec<&str> = source.text.lines().map(without_comment).collect();
        let code = code.join("\n");
        let foreign: &[&str] = match source.layer() {
            "h1" => {
                &["mio", "socket2", "TcpStream", "UnixStream", "std::io", "Instant", "SystemTime"]
            }
            _ => &["httparse", "httpdate", "HTTP/1"],
        };
        for word in foreign.iter().filter(|_| !source.is_test()) {
            assert!(!code.contains(word), "{} speaks of {word}", source.name);
        }
    }
}

#[test]
fn paths_are_read_as_they_are_written() {
    let code = "use crate::h1::{Head, Plan};\nuse crate::{EventLoop, http::Request};\n// crate::never\nlet x = crate::net::Time(0);\nuse crate::http;";
    let paths = crate_paths(code);
    let firsts: Vec<&str> = paths.iter().map(|(first, _)| first.as_str()).collect();
    assert_eq!(firsts, ["h1", "EventLoop", "http", "net", "http"]);
    assert_eq!(paths[0].1, ["Head", "Plan"]);
    assert_eq!(paths[3].1, ["Time"]);
}

#[test]
fn files_are_short() {
    let long: Vec<String> = sources(&["src"])
        .iter()
        .filter(|source| !source.is_test())
        .map(|source| (source.code().lines().count(), &source.name))
        .filter(|(lines, _)| *lines > FILE_LINES_MAX)
        .map(|(lines, name)| format!("{name}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "longer than {FILE_LINES_MAX} lines: {long:#?}");
}

/// The functions of some code, by their first lines, and how long they are: counted by braces, which strings
/// and character literals are taken out for.
fn functions(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut open: Vec<(String, usize, i32)> = Vec::new();
    let (mut depth, mut pending) = (0, None);
    for (at, line) in code.lines().enumerate() {
        let bare = without_literals(line);
        if words(&bare).any(|word| word == "fn") && !bare.trim_start().starts_with("fn(") {
            pending = Some((line.trim().to_owned(), at));
        }
        for c in bare.chars() {
            match c {
                '{' => {
                    if let Some((name, from)) = pending.take() {
                        open.push((name, from, depth));
                    }
                    depth += 1;
                }
                '}' => {
                    depth -= 1;
                    if open.last().is_some_and(|(_, _, level)| *level == depth) {
                        let (name, from, _) = open.pop().expect("just looked at");
                        found.push((name, at + 1 - from));
                    }
                }
                // A declaration, or the type of a callback.
                ';' => pending = None,
                _ => {}
            }
        }
    }
    found
}

fn without_literals(line: &str) -> String {
    let mut bare = String::new();
    let mut rest = without_comment(line).chars().peekable();
    let mut quoted = false;
    while let Some(c) = rest.next() {
        match c {
            '\\' if quoted => drop(rest.next()),
            '"' => quoted = !quoted,
            '\'' if !quoted => {
                // A character, unless it is a lifetime.
                let ahead: Vec<char> = rest.clone().take(3).collect();
                match ahead[..] {
                    ['\\', _, '\'', ..] => drop(rest.nth(2)),
                    [_, '\'', ..] => drop(rest.nth(1)),
                    _ => {}
                }
            }
            c if !quoted => bare.push(c),
            _ => {}
        }
    }
    bare
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    let mut count = 0;
    for source in sources(&["src", "examples"]).iter().filter(|source| !source.is_test()) {
        for (name, lines) in functions(source.code()) {
            count += 1;
            if lines > FUNCTION_LINES_MAX {
                long.push(format!("{}: {name}: {lines} lines", source.name));
            }
        }
    }
    assert!(count > 500, "only {count} functions were found");
    assert!(long.is_empty(), "longer than {FUNCTION_LINES_MAX} lines:\n{long:#?}");
}

#[test]
fn functions_are_counted() {
    let code = "impl A {\n    fn a(&self) -> char {\n        if x { '{' } else { '\\'' }\n    }\n\n    fn b();\n    fn c(f: fn() -> u8) { \"}\" }\n}\n";
    let counted = functions(code);
    let counted: Vec<usize> = counted.iter().map(|(_, lines)| *lines).collect();
    assert_eq!(counted, [3, 1]);
}

#[test]
fn nothing_is_left_to_be_done() {
    // Written apart, so that this file is not a find.
    let left_over: Vec<String> = [
        ("TO", "DO"),
        ("FIX", "ME"),
        ("XX", "X"),
        ("db", "g!"),
        ("to", "do!("),
        ("unimple", "mented!"),
    ]
    .map(|(a, b)| format!("{a}{b}"))
    .into();
    let mut found = Vec::new();
    for source in sources(&["src", "examples", "tests", "benches"]) {
        for (at, line) in source.text.lines().enumerate() {
            // What a doc comment tells the user to write is not left over.
            let is_doc = line.trim_start().starts_with("///");
            if !is_doc && left_over.iter().any(|word| line.contains(word.as_str())) {
                found.push(format!("{}:{}: {}", source.name, at + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_unsafe_code() {
    assert!(page("src/lib.rs").contains("#![forbid(unsafe_code)]"));
    assert!(page("src/lib.rs").contains("#![deny(missing_docs)]"));
}

#[test]
fn the_readme_names_every_example() {
    let readme = page("README.md");
    for entry in fs::read_dir(root().join("examples")).expect("the examples") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let is_program = path.extension().is_some_and(|extension| extension == "rs")
            || path.join("main.rs").is_file();
        assert!(
            !is_program || words(&readme).any(|word| word == name),
            "README.md does not name {name}"
        );
    }
}

#[test]
fn the_changelog_has_a_place_for_what_is_new() {
    assert!(page("CHANGELOG.md").contains("Unreleased"));
}
