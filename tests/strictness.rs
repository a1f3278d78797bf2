//! `docs/strictness.md` tells the truth: every rule is there once and in order, says what each role does, and names
//! tests that exist.

#[path = "parity/rows.rs"]
mod rows;

use rows::{cells, has_test, read, root};

const RULES: usize = 95;

/// Words that put a rule off.
const LATER: [&str; 5] = ["pending", "not yet", "later", "untested", "unknown to us"];

/// What must be among the attacks, by a part of its name.
const ATTACKS: [&str; 13] = [
    "slow heads",
    "slow bodies",
    "slow readers",
    "endless field",
    "endless target",
    "endless chunk size",
    "endless chunk extension",
    "endless trailers",
    "endless blank lines",
    "pipelined requests, unread",
    "silent connections",
    "chunks of one byte",
    "in the middle of a head",
];

/// A line of the table of rules.
struct Row {
    line: usize,
    cells: Vec<String>,
}

#[derive(Default)]
struct Page {
    rows: Vec<Row>,
    /// Lines and first cells of the table of choices.
    choices: Vec<(usize, String)>,
    headings: Vec<String>,
    /// First cells of the table of attacks.
    attacks: Vec<String>,
}

impl Page {
    fn parse(text: &str) -> Page {
        let mut page = Page::default();
        for (at, line) in text.lines().enumerate() {
            if let Some(heading) = line.strip_prefix("## ") {
                page.headings.push(heading.to_owned());
            }
            let Some(cells) = cells(line) else { continue };
            let is_row = cells[0].starts_with(|first: char| first.is_ascii_digit());
            match page.headings.last().map(String::as_str) {
                None if is_row => page.rows.push(Row { line: at + 1, cells }),
                Some("Deliberate choices") if is_row => {
                    page.choices.push((at + 1, cells[0].clone()));
                }
                Some("Under attack") if !is_ruler(&cells) => page.attacks.push(cells[0].clone()),
                _ => {}
            }
        }
        page
    }

    /// What is wrong with the page; `exists` tells of a file and a test in it.
    fn wrong(&self, exists: &dyn Fn(&str, &str) -> bool) -> Vec<String> {
        let mut problems = Vec::new();
        for rule in 1..=RULES {
            let found = self.rows.get(rule - 1).map(|row| row.cells[0].as_str());
            if found != Some(&rule.to_string()) {
                problems.push(format!("in the place of rule {rule} stands {found:?}"));
            }
        }
        if self.rows.len() > RULES {
            problems.push(format!("{} rules", self.rows.len()));
        }
        for row in &self.rows {
            let found = row.wrong(exists);
            problems.extend(found.iter().map(|problem| format!("{}: {problem}", row.line)));
        }
        for (line, rules) in &self.choices {
            for rule in rules.split(", ") {
                if !rule.parse().is_ok_and(|rule| (1..=RULES).contains(&rule)) {
                    problems.push(format!("{line}: there is no rule {rule}"));
                }
            }
        }
        for heading in ["Deliberate choices", "Under attack"] {
            if !self.headings.iter().any(|found| found == heading) {
                problems.push(format!("there is no section {heading}"));
            }
        }
        problems
    }
}

impl Row {
    fn wrong(&self, exists: &dyn Fn(&str, &str) -> bool) -> Vec<String> {
        let [_, rule, server, client, tests] = &self.cells[..] else {
            return vec![format!("{} cells instead of 5", self.cells.len())];
        };
        let mut problems = Vec::new();
        let said = [rule, server, client];
        if said.iter().any(|cell| cell.is_empty()) || (server == "—" && client == "—") {
            problems.push("it does not say what happens".to_owned());
        }
        for word in LATER {
            if self
                .cells
                .iter()
                .any(|cell| cell.split('`').step_by(2).any(|text| text.contains(word)))
            {
                problems.push(format!("{word:?} puts it off"));
            }
        }
        let (mut named, mut between) = (0, String::new());
        for (at, part) in tests.split('`').enumerate() {
            if at % 2 == 0 {
                between += part;
                continue;
            }
            named += 1;
            let place = match part.split_once(".txt: ") {
                Some((script, case)) => Some((format!("{script}.txt"), case)),
                None => part.split_once("::").map(|(file, name)| (file.to_owned(), name)),
            };
            if !place.is_some_and(|(file, name)| exists(&file, name)) {
                problems.push(format!("there is no test {part}"));
            }
        }
        if named == 0 {
            problems.push("no test".to_owned());
        }
        if !between.chars().all(|between| between == ',' || between == ' ') {
            problems.push(format!("what is {between:?} beside the tests?"));
        }
        problems
    }
}

/// The numbers that the name of a case begins with: `rule 33/34: …`, `GET rule 87: …`.
fn rules_of(case: &str) -> Vec<usize> {
    let named = case.split_once("rule ").and_then(|(_, rest)| rest.split_once(": "));
    let numbers = named.map(|(numbers, _)| numbers.split('/').map(str::parse).collect());
    numbers.and_then(Result::ok).unwrap_or_default()
}

fn scripts() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(root().join("tests/wire")).expect("the scripts are there");
    let paths = entries.map(|entry| entry.expect("a directory entry").path());
    paths.map(|path| (path.display().to_string(), read(&path))).collect()
}

#[test]
fn every_rule_is_there_and_every_test_that_is_named_exists() {
    let wrong = Page::parse(&read(&root().join("docs/strictness.md"))).wrong(&|file, name| {
        let path = root().join(file);
        path.is_file() && has_test(&read(&path), file.ends_with(".txt"), name)
    });
    assert!(wrong.is_empty(), "docs/strictness.md:\n{}", wrong.join("\n"));
}

#[test]
fn every_case_of_the_scripts_names_its_rule() {
    for (path, text) in scripts() {
        for case in text.lines().filter_map(|line| line.strip_prefix("== ")) {
            let rules = rules_of(case);
            let known = rules.iter().all(|rule| (1..=RULES).contains(rule));
            assert!(!rules.is_empty() && known, "{path}: {case}");
        }
    }
}

/// A page that is fine, and what the checker makes of it with one thing changed.
mod the_checker {
    use super::*;

    fn fine() -> String {
        let row = |rule: usize| {
            match rule {
            7 => "| 7 | it | 400 \\| 413 | — | `tests/wire/w.txt: rule 7: a, b`, `tests/a.rs::works` |\n".to_owned(),
            _ => format!("| {rule} | it | — | an error | `tests/a.rs::works` |\n"),
        }
        };
        let rows: String = (1..=RULES).map(row).collect();
        format!(
            "# Page\n| | rule | server | client | tests |\n|---|---|---|---|---|\n{rows}\
             ## Deliberate choices\n| rule | choice | reason |\n|---|---|---|\n| 75, 76 | x | y |\n\
             ## Under attack\n"
        )
    }

    fn judge(text: &str) -> Vec<String> {
        Page::parse(text).wrong(&|file, name| match file {
            "tests/a.rs" => {
                has_test("#[test]\nfn works() {\n#[test]\n#[ignore]\nfn rests() {", false, name)
            }
            "tests/wire/w.txt" => has_test("== rule 7: a, b", true, name),
            _ => false,
        })
    }

    #[test]
    fn finds_nothing_wrong_with_what_is_right() {
        assert_eq!(judge(&fine()), [""; 0]);
    }

    #[test]
    fn finds_what_is_misspelled_or_missing() {
        for (from, to, problem) in [
            ("| 9 | it", "| 8 | it", "in the place of rule 9 stands Some(\"8\")"),
            (
                "| 95 | it | — | an error | `tests/a.rs::works` |\n",
                "",
                "in the place of rule 95 stands None",
            ),
            (
                "## Deliberate",
                "| 96 | it | — | x | `tests/a.rs::works` |\n## Deliberate",
                "96 rules",
            ),
            ("works", "work", "there is no test tests/a.rs::work"),
            ("works", "rests", "there is no test tests/a.rs::rests"),
            ("a.rs", "b.rs", "there is no test tests/b.rs::works"),
            ("a.rs::", "a.rs: ", "there is no test tests/a.rs: works"),
            ("a, b", "a", "there is no test tests/wire/w.txt: rule 7: a"),
            ("| `tests/a.rs::works` |", "| trust me |", "no test"),
            (
                "| `tests/a.rs::works` |",
                "| `tests/a.rs::works`, trust me |",
                "what is \", trust me\" beside the tests?",
            ),
            ("| an error |", "| |", "it does not say what happens"),
            ("| an error |", "| — |", "it does not say what happens"),
            ("| an error |", "| pending |", "\"pending\" puts it off"),
            ("| an error |", "| an error | more |", "6 cells instead of 5"),
            ("75, 76", "75, 96", "there is no rule 96"),
            ("## Deliberate choices", "## Choices", "there is no section Deliberate choices"),
            ("## Under attack", "", "there is no section Under attack"),
        ] {
            let found = judge(&fine().replacen(from, to, 1));
            let told = found.iter().any(|found| found.contains(problem));
            assert!(told, "{from} -> {to}: {found:?}");
        }
    }

    #[test]
    fn reads_the_rules_of_cases() {
        assert_eq!(rules_of("rule 33/34: x: y"), [33, 34]);
        assert_eq!(rules_of("GET rule 87: x"), [87]);
        assert_eq!(rules_of("rule: x"), [0; 0]);
        assert_eq!(rules_of("rule x: 1"), [0; 0]);
    }
}

/// The line below the head of a table.
fn is_ruler(cells: &[String]) -> bool {
    cells.iter().all(|cell| cell.chars().all(|part| part == '-'))
}

/// The names of all attacks, in their order.
fn attacks() -> Vec<String> {
    let files = ["benches/attacks/on_server.rs", "benches/attacks/on_client.rs"];
    let text: String = files.iter().map(|file| read(&root().join(file))).collect();
    let begun = text.split("Attack::new(").skip(1);
    begun.filter_map(|rest| rest.split('"').nth(1)).map(str::to_owned).collect()
}

#[test]
fn every_attack_has_its_figures() {
    let page = Page::parse(&read(&root().join("docs/strictness.md")));
    let (head, rows) = page.attacks.split_first().expect("a table");
    assert_eq!(head, "attack");
    assert_eq!(rows, attacks(), "what `cargo bench --bench attacks` prints belongs into the page");
    for wanted in ATTACKS {
        assert!(rows.iter().any(|row| row.contains(wanted)), "no attack by {wanted:?}");
    }
}
