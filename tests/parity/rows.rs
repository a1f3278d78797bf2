//! Rows of tables, and whether the tests that they name are there.

use std::path::{Path, PathBuf};

/// The cells of a line of a table.
pub(crate) fn cells(line: &str) -> Option<Vec<String>> {
    let line = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(line.replace("\\|", "\0").split('|').map(|cell| cell.trim().replace('\0', "|")).collect())
}

/// `text` has a test function, or a case of a script, of this name.
pub(crate) fn has_test(text: &str, is_script: bool, name: &str) -> bool {
    if is_script {
        return text.lines().any(|line| line.strip_prefix("== ") == Some(name));
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let found = lines.iter().position(|line| line.starts_with(&format!("fn {name}(")));
    let Some(found) = found else { return is_in_a_table(&lines, name) };
    let attributes = lines[..found].iter().rev().take_while(|line| line.starts_with("#["));
    let attributes: Vec<&&str> = attributes.collect();
    attributes.iter().any(|line| **line == "#[test]")
        && !attributes.iter().any(|line| line.starts_with("#[ignore"))
}

/// A test that a macro makes of a line such as `name: module::function;`, of those behind `tables! {`.
fn is_in_a_table(lines: &[&str], name: &str) -> bool {
    let behind = lines.iter().skip_while(|line| **line != "tables! {").skip(1);
    let mut table = behind.take_while(|line| **line != "}");
    table.any(|line| {
        line.ends_with(';') && line.split_once(": ").is_some_and(|(test, _)| test == name)
    })
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
