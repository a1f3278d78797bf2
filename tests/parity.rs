//! `docs/node-parity.md` tells the truth: every item of ours that it names exists, every test that it names
//! exists, every row has its proof or its reason, and no row of Node's list is lost.
//!
//! What the page may say is told at its head; how the sources are read is in `parity/items.rs`, how rows
//! and the tests that they name are in `parity/rows.rs`.

#[path = "parity/items.rs"]
mod items;
#[path = "parity/rows.rs"]
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use items::Items;
use rows::{cells, has_test, read, root};

/// How many rows each section has: what Node's `http` has that is not JavaScript's own.
const ROWS: [(&str, usize); 26] = [
    ("1", 29),
    ("2", 13),
    ("3.1", 12),
    ("3.2", 12),
    ("3.3", 12),
    ("3.4", 15),
    ("3.5", 5),
    ("4.1", 21),
    ("4.2", 15),
    ("4.3", 4),
    ("5", 21),
    ("6.1", 24),
    ("6.2", 4),
    ("7.1", 15),
    ("7.2", 11),
    ("7.3", 12),
    ("7.4", 13),
    ("7.5", 5),
    ("8", 25),
    ("9", 28),
    ("10", 24),
    ("11", 12),
    ("12", 34),
    ("13", 30),
    ("14", 15),
    ("15", 16),
];

/// One line of a section's table: Node's item, ours, the proof.
struct Row {
    line: usize,
    section: String,
    ours: String,
    proof: String,
}

#[derive(Default)]
struct Page {
    rows: Vec<Row>,
    /// Lines and numbers of the table of differences.
    differences: Vec<(usize, String)>,
    problems: Vec<String>,
}

impl Page {
    fn parse(text: &str) -> Page {
        let mut page = Page::default();
        let mut section = String::new();
        // The first line of a table names its columns.
        let mut columns = true;
        for (at, line) in text.lines().enumerate() {
            let line_number = at + 1;
            if let Some(heading) = line.strip_prefix('#') {
                let heading = heading.trim_start_matches('#').trim();
                section = heading.split(' ').next().unwrap_or_default().to_owned();
            }
            let Some(cells) = cells(line) else {
                columns = true;
                continue;
            };
            if std::mem::take(&mut columns) || cells.iter().all(|cell| cell.starts_with("---")) {
                continue;
            }
            page.row(line_number, &section, &cells);
        }
        page
    }

    fn row(&mut self, line: usize, section: &str, cells: &[String]) {
        let expected = if section == "Differences" { 5 } else { 3 };
        if cells.len() != expected || cells.iter().any(String::is_empty) {
            self.problems.push(format!("{line}: not {expected} cells with something in each"));
        } else if section == "Differences" {
            self.differences.push((line, cells[0].clone()));
        } else if section.starts_with(|first: char| first.is_ascii_digit()) {
            let (ours, proof) = (cells[1].clone(), cells[2].clone());
            self.rows.push(Row { line, section: section.to_owned(), ours, proof });
        } else {
            self.problems.push(format!("{line}: a table where no section is"));
        }
    }

    /// Rows that were lost or made up.
    fn miscounted(&self, expected: &[(&str, usize)]) -> Vec<String> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for row in &self.rows {
            *counts.entry(&row.section).or_default() += 1;
        }
        let mut problems = Vec::new();
        for (section, rows) in expected {
            let found = counts.remove(section).unwrap_or(0);
            if found != *rows {
                problems.push(format!("section {section} has {found} rows instead of {rows}"));
            }
        }
        problems.extend(counts.keys().map(|section| format!("section {section} is not expected")));
        problems
    }

    /// What is wrong with what the rows say.
    fn wrong(&self, items: &Items, proofs: &dyn Fn(&str, &str) -> bool) -> Vec<String> {
        let mut problems = self.problems.clone();
        let numbers: BTreeSet<&str> =
            self.differences.iter().map(|(_, number)| number.as_str()).collect();
        let mut referred = BTreeSet::new();
        for row in &self.rows {
            let mut tell = |problem: String| problems.push(format!("{}: {problem}", row.line));
            let pieces = pieces(&row.proof);
            for problem in wrong_item(&row.ours, items) {
                tell(problem);
            }
            let mut differs = false;
            for piece in &pieces {
                match *piece {
                    Piece::Span(span) => match span.split_once(": ") {
                        Some((file, name)) if proofs(file, name) => {}
                        _ => tell(format!("there is no test {span}")),
                    },
                    Piece::Word(word) => match word.strip_prefix("difference ") {
                        Some(number) if numbers.contains(number) => {
                            differs = true;
                            referred.insert(number);
                        }
                        _ => tell(format!("what is {word:?} in a proof?")),
                    },
                }
            }
            if row.ours.starts_with('—') && !differs {
                tell("nothing of ours, and no difference that says why".to_owned());
            }
            if pieces.is_empty() {
                tell("no proof".to_owned());
            }
        }
        for (at, (line, number)) in self.differences.iter().enumerate() {
            if *number != (at + 1).to_string() {
                problems.push(format!("{line}: difference {number} stands in place {}", at + 1));
            }
            if !referred.contains(number.as_str()) {
                problems.push(format!("{line}: no row refers to difference {number}"));
            }
        }
        problems
    }
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Piece<'a> {
    /// In backticks.
    Span(&'a str),
    /// Between commas and spans.
    Word(&'a str),
}

fn pieces(cell: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    for (at, part) in cell.split('`').enumerate() {
        if at % 2 == 1 {
            pieces.push(Piece::Span(part));
        } else {
            let words = part.split(',').map(str::trim).filter(|word| !word.is_empty());
            pieces.extend(words.map(Piece::Word));
        }
    }
    pieces
}

/// What puts a row off: there is an item, or a difference with its reason.
const LATER: [&str; 2] = ["not yet", "pending"];

fn wrong_item(ours: &str, items: &Items) -> Vec<String> {
    let spans = |piece: &Piece<'_>| matches!(piece, Piece::Span(_));
    let pieces = pieces(ours);
    if ours.matches('`').count() % 2 == 1 {
        return vec!["an odd number of backticks".to_owned()];
    }
    let mut problems = Vec::new();
    for piece in &pieces {
        match piece {
            Piece::Span(name) if !items.has(name) => {
                problems.push(format!("there is no item {name}"));
            }
            Piece::Word(word) if LATER.iter().any(|later| word.contains(later)) => {
                problems.push(format!("{word:?} puts it off"));
            }
            _ => {}
        }
    }
    let said = ["—", "built in"].iter().any(|word| ours.starts_with(word));
    if !said && !pieces.iter().any(spans) {
        problems.push("no item is named".to_owned());
    }
    problems
}

fn page() -> Page {
    Page::parse(&read(&root().join("docs/node-parity.md")))
}

#[test]
fn every_item_and_every_test_that_is_named_exists() {
    let items = Items::read(&root().join("src"));
    let wrong = page().wrong(&items, &|file, name| {
        let is_script = file.ends_with(".txt");
        let path = root().join(file);
        path.is_file() && has_test(&read(&path), is_script, name)
    });
    assert!(wrong.is_empty(), "docs/node-parity.md:\n{}", wrong.join("\n"));
}

#[test]
fn no_row_is_lost() {
    let wrong = page().miscounted(&ROWS);
    assert!(wrong.is_empty(), "docs/node-parity.md:\n{}", wrong.join("\n"));
}

/// A page that is fine, and what the checker makes of it with one thing changed.
mod the_checker {
    use super::*;

    const FINE: &str = "\
# A page\n\
## 1 Numbers\n\
| Node | ours | proof |\n\
|---|---|---|\n\
| `a` | `http::Response::write`, `EventLoop` | `tests/a.rs: works`, `tests/wire/w.txt: rule 1: a, b` |\n\
| `b` | built in | difference 1 |\n\
| `c` \\| d | — | difference 2 |\n\
| `e` | — by that name; `EventLoop` | `tests/a.rs: works`, difference 1 |\n\
## Differences\n\
| | matter | Node | onloop | reason |\n\
|---|---|---|---|---|\n\
| 1 | x | x | x | x |\n\
| 2 | y | y | y | y |\n";

    fn judge(text: &str) -> Vec<String> {
        let files = [
            ("lib.rs", "pub mod http;\npub use event_loop::{EventLoop, LoopHandle};\n"),
            ("http/mod.rs", "pub use response::Response;\n"),
            ("http/response.rs", "impl Response {\n    pub fn write(&self) {}\n}\n"),
        ];
        let items =
            Items::of(files.iter().map(|(path, text)| (path.to_string(), text.to_string())));
        let page = Page::parse(text);
        let proofs = |file: &str, name: &str| match file {
            "tests/a.rs" => has_test("#[test]\nfn works() {", false, name),
            "tests/wire/w.txt" => has_test("== rule 1: a, b", true, name),
            _ => false,
        };
        [page.wrong(&items, &proofs), page.miscounted(&[("1", 4)])].concat()
    }

    #[test]
    fn finds_nothing_wrong_with_what_is_right() {
        assert_eq!(judge(FINE), [""; 0]);
    }

    #[test]
    fn finds_what_is_misspelled_or_missing() {
        for (from, to, problem) in [
            ("Response::write", "Response::wrote", "there is no item http::Response::wrote"),
            ("http::Response::write", "Response::write", "there is no item Response::write"),
            ("EventLoop`", "EventLop`", "there is no item EventLop"),
            ("works", "work", "there is no test tests/a.rs: work"),
            ("tests/a.rs", "tests/b.rs", "there is no test tests/b.rs: works"),
            ("a, b", "a", "there is no test tests/wire/w.txt: rule 1: a"),
            ("| difference 1 |", "| difference 3 |", "what is \"difference 3\" in a proof?"),
            ("| difference 1 |", "| trust me |", "what is \"trust me\" in a proof?"),
            ("| difference 1 |", "| |", "not 3 cells with something in each"),
            ("| `b` | built in | difference 1 |\n", "", "section 1 has 3 rows instead of 4"),
            ("| `b` | built in |", "| `b` | by magic |", "no item is named"),
            ("— by that name; `EventLoop`", "not yet: ignored", "\"not yet: ignored\" puts it off"),
            ("| built in |", "| built in, FIFO not yet |", "\"FIFO not yet\" puts it off"),
            ("`EventLoop` |", "pending |", "\"pending\" puts it off"),
            ("| difference 1 |", "| not yet |", "what is \"not yet\" in a proof?"),
            ("| difference 1 |", "| pending |", "what is \"pending\" in a proof?"),
            ("| difference 2 |", "| difference 1 |", "no row refers to difference 2"),
            ("| 2 | y", "| 3 | y", "difference 3 stands in place 2"),
            ("| difference 2 |", "| `tests/a.rs: works` |", "no difference that says why"),
            ("## 1 Numbers", "## 2 Numbers", "section 2 is not expected"),
            ("`EventLoop`", "`EventLoop", "an odd number of backticks"),
        ] {
            let found = judge(&FINE.replacen(from, to, 1));
            let told = found.iter().any(|found| found.contains(problem));
            assert!(told, "{from} -> {to}: {found:?}");
        }
    }

    #[test]
    fn takes_only_tests_for_tests() {
        let text =
            "fn a_function() {\n}\n#[test]\nfn a_test() {\n}\n#[test]\n#[ignore]\nfn ignored() {";
        assert!(has_test(text, false, "a_test"));
        assert!(!has_test(text, false, "a_function") && !has_test(text, false, "ignored"));
        assert!(!has_test(text, false, "a_tes") && !has_test("== rule 1: ab", true, "rule 1: a"));
        let text =
            "macro_rules! tables {\n}\ntables! {\n    in_a_table: cases::of_it;\n}\nlater: x;";
        assert!(has_test(text, false, "in_a_table") && !has_test(text, false, "later"));
        assert!(!has_test(text, false, "in_a_tabl") && !has_test(text, false, "cases"));
    }
}
