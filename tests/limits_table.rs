//! The table in the docs of `Limits` tells the truth: every limit has its row, every row its method, its default,
//! its variant of `Limit`, codes that there are, and a test that there is.

#[path = "parity/rows.rs"]
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use onloop::{Limits, http};
use rows::{cells, has_test, read, root};

const SOURCE: &str = include_str!("../src/limits.rs");

/// One line of the tables of limits.
#[derive(Debug)]
struct Row {
    name: String,
    default: String,
    outcome: String,
    variants: String,
    test: String,
}

/// What a source says: its rows, and the methods that it declares with their docs.
#[derive(Debug, Default)]
struct Page {
    rows: Vec<Row>,
    methods: Vec<String>,
    problems: Vec<String>,
}

impl Page {
    fn parse(source: &str) -> Page {
        let mut page = Page::default();
        let mut is_of_limits = false;
        for line in source.lines().map(str::trim) {
            if let Some(declared) = line.strip_prefix("fn ").filter(|line| line.ends_with(';')) {
                let name = declared.split('(').next().unwrap_or_default();
                // The macro's own pattern has none.
                page.methods.extend((!name.starts_with('$')).then(|| name.to_owned()));
            }
            let doc = line.strip_prefix("///").map(str::trim).unwrap_or_default();
            let Some(cells) = cells(doc) else {
                is_of_limits = false;
                continue;
            };
            if cells[0] == "limit" {
                is_of_limits = true;
            } else if is_of_limits && !cells[0].starts_with("---") {
                page.row(&cells);
            }
        }
        page
    }

    fn row(&mut self, cells: &[String]) {
        let [name, default, what, outcome, variants, test] = cells else {
            return self.problems.push(format!("{}: not 6 cells", cells[0]));
        };
        if [name, default, what, outcome, test].iter().any(|cell| cell.is_empty()) {
            self.problems.push(format!("{name}: an empty cell"));
        }
        self.rows.push(Row {
            name: spans(name).pop().unwrap_or_default(),
            default: default.clone(),
            outcome: outcome.clone(),
            variants: variants.clone(),
            test: spans(test).pop().unwrap_or_default(),
        });
    }

    /// What is wrong with it, where `defaults` are those of the type.
    fn wrong(&self, facts: &Facts) -> Vec<String> {
        let mut problems = self.problems.clone();
        let mut seen = BTreeSet::new();
        for row in &self.rows {
            let mut tell = |problem: String| problems.push(format!("{}: {problem}", row.name));
            if !seen.insert(row.name.as_str()) {
                tell("two rows".to_owned());
            }
            if !self.methods.contains(&row.name) {
                tell("no method".to_owned());
            }
            let said = number(&row.default);
            match facts.defaults.get(&row.name) {
                None => tell("no field".to_owned()),
                Some(default) if said.as_ref() != Some(default) => {
                    tell(format!("the default is {default} and not {}", row.default));
                }
                Some(_) => {}
            }
            for variant in spans(&row.variants) {
                if !facts.variants.contains(&variant) {
                    tell(format!("there is no Limit::{variant}"));
                }
            }
            for code in spans(&row.outcome).iter().filter(|span| is_code(span)) {
                if !(facts.has_code)(code) {
                    tell(format!("no code {code}"));
                }
            }
            if !row.test.split_once("::").is_some_and(|(file, name)| (facts.has_test)(file, name)) {
                tell(format!("there is no test {}", row.test));
            }
        }
        let missing = |name: &&String| !seen.contains(name.as_str());
        let all: BTreeSet<&String> = self.methods.iter().chain(facts.defaults.keys()).collect();
        problems.extend(all.into_iter().filter(missing).map(|name| format!("{name}: no row")));
        problems
    }
}

/// What the rows are held to.
struct Facts<'a> {
    defaults: BTreeMap<String, String>,
    variants: Vec<String>,
    has_code: &'a dyn Fn(&str) -> bool,
    has_test: &'a dyn Fn(&str, &str) -> bool,
}

/// What stands in backticks.
fn spans(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn is_code(span: &str) -> bool {
    span.contains(|c: char| c.is_ascii_uppercase())
        && !span.contains(|c: char| c.is_ascii_lowercase() || c == ' ')
}

/// A default as `Debug` shows it.
fn number(said: &str) -> Option<String> {
    if said == "none" {
        return Some("None".to_owned());
    }
    let (digits, unit) = said.split_once(' ').unwrap_or((said, ""));
    let number: u64 = digits.replace(',', "").parse().ok()?;
    let unit = match unit {
        "" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return None,
    };
    Some((number * unit).to_string())
}

/// The fields of a value and what they hold, off its `Debug` text.
fn fields(debug: &str) -> BTreeMap<String, String> {
    let inside = debug.split_once(" { ").and_then(|(_, rest)| rest.strip_suffix(" }"));
    let pairs = inside.expect("a struct").split(", ").map(|pair| pair.split_once(": "));
    pairs.flatten().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The variants of `Limit`.
fn variants() -> Vec<String> {
    let source = read(&root().join("src/error.rs"));
    let body = source.split("pub enum Limit {").nth(1).and_then(|rest| rest.split("\n}").next());
    let lines = body.expect("the enumeration").lines().map(str::trim);
    lines
        .filter_map(|line| line.strip_suffix(','))
        .filter(|it| !it.contains(' '))
        .map(str::to_owned)
        .collect()
}

/// All sources, one behind the other.
fn sources() -> String {
    let mut pending = vec![root().join("src")];
    let mut all = String::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a directory");
            pending.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else {
            all.push_str(&read(&path));
        }
    }
    all
}

#[test]
fn every_limit_has_a_row_that_is_true() {
    let sources = sources();
    let facts = Facts {
        defaults: fields(&format!("{:?}", Limits::default())),
        variants: variants(),
        has_code: &|code| sources.contains(&format!("\"{code}\"")),
        has_test: &|file, name| {
            let path = root().join(file);
            path.is_file() && has_test(&read(&path), false, name)
        },
    };
    let page = Page::parse(SOURCE);
    assert!(page.rows.len() > 30, "only {} rows were found", page.rows.len());
    let wrong = page.wrong(&facts);
    assert!(wrong.is_empty(), "src/limits.rs:\n{}", wrong.join("\n"));
}

#[test]
fn every_variant_of_limit_is_in_the_docs() {
    let page = Page::parse(SOURCE);
    let in_rows: BTreeSet<String> = page.rows.iter().flat_map(|row| spans(&row.variants)).collect();
    let variants = variants();
    assert!(variants.len() > 10, "{variants:?}");
    for variant in variants {
        let named = in_rows.contains(&variant) || SOURCE.contains(&format!("`Limit::{variant}`"));
        assert!(named, "Limit::{variant}: which limit is that?");
    }
}

#[test]
fn the_size_of_heads_is_the_constant() {
    let defaults = fields(&format!("{:?}", Limits::new()));
    assert_eq!(defaults["max_header_size"], http::MAX_HEADER_SIZE.to_string());
}

/// Tables that are fine, and what the checker makes of them with one thing changed.
mod the_checker {
    use super::*;

    const FINE: &str = "\
    /// | limit | default | what | who | `Limit` | test |\n\
    /// |---|---|---|---|---|---|\n\
    /// | `size` | 64 KiB | bytes | 431 `HPE_OVERFLOW`, `write` fails | `Size` | `tests/a.rs::works` |\n\
    /// | `count` | none | things | waits | | `tests/a.rs::works` |\n\
    /// and text\n\
    /// | what | most |\n\
    /// |---|---|\n\
    /// | fixed | 1 |\n\
    fn size(bytes: usize) -> usize = 64 * 1024, bytes;\n\
    fn count(count: usize) -> Option<usize> = None, Some(count);\n\
    fn neither(self) -> usize {\n";

    fn judge(text: &str) -> Vec<String> {
        let facts = Facts {
            defaults: fields("Limits { size: 65536, count: None }"),
            variants: vec!["Size".to_owned()],
            has_code: &|code| code == "HPE_OVERFLOW",
            has_test: &|file, name| (file, name) == ("tests/a.rs", "works"),
        };
        Page::parse(text).wrong(&facts)
    }

    #[test]
    fn finds_nothing_wrong_with_what_is_right() {
        assert_eq!(judge(FINE), [""; 0]);
    }

    #[test]
    fn finds_what_is_wrong() {
        for (from, to, problem) in [
            ("64 KiB", "63 KiB", "size: the default is 65536 and not 63 KiB"),
            ("| none |", "| 7 |", "count: the default is None and not 7"),
            ("64 KiB", "much", "size: the default is 65536 and not much"),
            ("`Size`", "`Sise`", "size: there is no Limit::Sise"),
            ("HPE_OVERFLOW", "HPE_OVERFLOV", "size: no code HPE_OVERFLOV"),
            ("a.rs::works", "a.rs::worked", "size: there is no test tests/a.rs::worked"),
            ("a.rs::works", "a.rs", "size: there is no test tests/a.rs"),
            ("| bytes |", "| |", "`size`: an empty cell"),
            ("| bytes |", "|", "`size`: not 6 cells"),
            ("| `count` |", "| `size` |", "size: two rows"),
            ("| `count` |", "| `size` |", "count: no row"),
            ("| `count` |", "| `county` |", "county: no field"),
            ("fn count(", "fn county(", "count: no method"),
            ("fn count(", "fn county(", "county: no row"),
        ] {
            let found = judge(&FINE.replacen(from, to, 1));
            let told = found.iter().any(|found| found == problem);
            assert!(told, "{from} -> {to}: {found:?}");
        }
    }
}
