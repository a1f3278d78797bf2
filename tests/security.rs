//! SECURITY.md tells the truth where that can be looked up: the tests it names are there, and so are the files.

#[allow(dead_code)] // this page uses its part of it
#[path = "parity/rows.rs"]
mod rows;

use rows::{has_test, read, root};

/// The words between backticks that name a test.
fn named(page: &str) -> Vec<&str> {
    let spans = page.split('`').skip(1).step_by(2);
    spans.filter(|span| span.starts_with("tests/") && span.contains(".rs::")).collect()
}

#[test]
fn every_test_that_it_names_is_there() {
    let page = read(&root().join("SECURITY.md"));
    let named = named(&page);
    assert!(named.len() > 30, "{} tests are named", named.len());
    let is_there = |named: &str| {
        let (file, name) = named.split_once("::").expect("a file and a name");
        let path = root().join(file);
        path.exists() && has_test(&read(&path), false, name)
    };
    let missing: Vec<_> = named.into_iter().filter(|named| !is_there(named)).collect();
    assert!(missing.is_empty(), "not there: {missing:?}");
}

#[test]
fn every_file_that_it_links_is_there() {
    let page = read(&root().join("SECURITY.md"));
    let links: Vec<_> =
        page.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(!links.is_empty());
    let missing: Vec<_> = links.iter().filter(|link| !root().join(link).exists()).collect();
    assert!(missing.is_empty(), "not there: {missing:?}");
}
