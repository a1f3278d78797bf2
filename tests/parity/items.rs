//! The public items of the crate, read off its sources: enough of Rust's grammar for code that rustfmt has laid
//! out, and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Public names, and the methods, variants and functions that types have.
#[derive(Debug, Default)]
pub(crate) struct Items {
    /// By module: the crate's root (`""`), `http`, `sim`.
    names: BTreeMap<&'static str, BTreeSet<String>>,
    /// By type, wherever its `impl` blocks stand.
    members: BTreeMap<String, BTreeSet<String>>,
    /// Methods that macros bring into the types that use them.
    macros: BTreeMap<String, BTreeSet<String>>,
    uses: Vec<(String, String)>,
}

/// What the lines of a block belong to.
enum Block {
    Type(String),
    /// An implementation of a trait, or a trait: what is in it is as public as it is.
    Trait(String),
    Enum(String),
    Macro(String),
    Other,
}

impl Items {
    /// Everything below `src`.
    pub(crate) fn read(src: &Path) -> Items {
        let mut files = Vec::new();
        collect(src, src, &mut files);
        Items::of(files)
    }

    pub(crate) fn of(files: impl IntoIterator<Item = (String, String)>) -> Items {
        let mut items = Items::default();
        for (path, text) in files {
            let module = match path.as_str() {
                "lib.rs" => Some(""),
                "http/mod.rs" => Some("http"),
                "sim.rs" => Some("sim"),
                _ => None,
            };
            if let Some(module) = module {
                let names = items.names.entry(module).or_default();
                names.extend(exported(&text));
            }
            items.scan(&text);
        }
        for (type_name, macro_name) in std::mem::take(&mut items.uses) {
            if let Some(methods) = items.macros.get(&macro_name) {
                items.members.entry(type_name).or_default().extend(methods.iter().cloned());
            }
        }
        items
    }

    /// There is a public item of this path: `EventLoop::turn`, `http::METHODS`, `http::Response::end`.
    pub(crate) fn has(&self, path: &str) -> bool {
        let mut parts: Vec<&str> = path.split("::").collect();
        let module = match parts[0] {
            "http" | "sim" if parts.len() > 1 => parts.remove(0),
            _ => "",
        };
        let has_name =
            |name: &str| self.names.get(module).is_some_and(|names| names.contains(name));
        match parts[..] {
            [name] => has_name(name),
            [name, member] => {
                let members = self.members.get(name);
                has_name(name) && members.is_some_and(|members| members.contains(member))
            }
            _ => false,
        }
    }

    fn scan(&mut self, text: &str) {
        let mut block = Block::Other;
        for line in text.lines() {
            if !line.starts_with([' ', '\t']) {
                if line.starts_with('}') {
                    block = Block::Other;
                } else if line.ends_with('{') {
                    block = opened(line);
                }
                continue;
            }
            let code = line.trim_start();
            match &block {
                Block::Type(name) => {
                    if let Some(method) = function(code, true) {
                        self.members.entry(name.clone()).or_default().insert(method);
                    } else if let Some((used, _)) = code.split_once("!(") {
                        self.uses.push((name.clone(), used.to_owned()));
                    }
                }
                Block::Trait(name) => {
                    let method = function(code, false);
                    self.members.entry(name.clone()).or_default().extend(method);
                }
                Block::Enum(name) => {
                    let variant = identifier(code);
                    let is_variant = variant.starts_with(|first: char| first.is_ascii_uppercase());
                    if is_variant && line.len() - code.len() == 4 {
                        self.members.entry(name.clone()).or_default().insert(variant);
                    }
                }
                Block::Macro(name) => {
                    let method = function(code, true);
                    self.macros.entry(name.clone()).or_default().extend(method);
                }
                Block::Other => {}
            }
        }
    }
}

fn opened(line: &str) -> Block {
    if let Some(rest) = line.strip_prefix("macro_rules! ") {
        return Block::Macro(identifier(rest));
    }
    if let Some(rest) = line.strip_prefix("pub trait ") {
        return Block::Trait(identifier(rest));
    }
    if let Some(rest) = line.strip_prefix("pub enum ") {
        return Block::Enum(identifier(rest));
    }
    let Some(rest) = line.strip_prefix("impl") else { return Block::Other };
    let rest = without_generics(rest).trim();
    match rest.split_once(" for ") {
        Some((_, implementor)) => Block::Trait(last_segment(implementor)),
        None => Block::Type(last_segment(rest)),
    }
}

/// What stands behind `<...>`.
fn without_generics(text: &str) -> &str {
    if !text.starts_with('<') {
        return text;
    }
    let mut depth = 0;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            // Not of an arrow.
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[at + 1..];
        }
        before = c;
    }
    text
}

fn last_segment(path: &str) -> String {
    let path = path.split(['<', ' ']).next().unwrap_or_default();
    identifier(path.rsplit("::").next().unwrap_or_default())
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

/// The name of the function that a line begins.
fn function(code: &str, public: bool) -> Option<String> {
    let code = match public {
        true => code.strip_prefix("pub ")?,
        false => code,
    };
    let code = code.strip_prefix("const ").unwrap_or(code);
    Some(identifier(code.strip_prefix("fn ")?)).filter(|name| !name.is_empty())
}

/// The public names of a module: its own, and those that it re-exports.
fn exported(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(line) = rest.lines().next() {
        if let Some(used) = rest.strip_prefix("pub use ") {
            let end = used.find(';').unwrap_or(used.len());
            let list = used[..end].rsplit("::").next().unwrap_or_default();
            let group = used[..end].split_once('{').map_or(list, |(_, group)| group);
            for name in group.split([',', '{', '}']).map(str::trim) {
                let name = name.rsplit(" as ").next().unwrap_or(name);
                names.push(name.rsplit("::").next().unwrap_or(name).to_owned());
            }
        } else if let Some(code) = line.strip_prefix("pub ") {
            for keyword in [
                "fn ",
                "const fn ",
                "const ",
                "static ",
                "struct ",
                "enum ",
                "trait ",
                "type ",
                "mod ",
            ] {
                if let Some(name) = code.strip_prefix(keyword) {
                    names.push(identifier(name));
                }
            }
        }
        rest = rest.get(line.len() + 1..).unwrap_or_default();
    }
    names.retain(|name| !name.is_empty());
    names
}

fn collect(root: &Path, directory: &Path, files: &mut Vec<(String, String)>) {
    let entries = std::fs::read_dir(directory).expect("the sources are there");
    for entry in entries {
        let path = entry.expect("a directory entry").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("below the root").display().to_string();
            files.push((name, std::fs::read_to_string(&path).expect("a source file")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
/// A thing.
pub struct Thing;

macro_rules! methods {
    () => {
        pub fn from_macro(&self) {}
        fn private_of_macro(&self) {}
    };
}

impl Thing {
    pub const fn made() -> Self {
        Thing
    }

    pub(crate) fn crate_only(&self) {}

    fn private(&self) {}

    pub fn generic<T: Fn() -> u8>(
        &self,
        other: T,
    ) {
    }

    methods!();
}

impl<T: Into<Box<dyn Fn() -> u8>>> Other<T> {
    pub fn of_other() {}
}

impl std::io::Write for Thing {
    fn write(&mut self) {}
}

pub enum Kind {
    First,
    Second {
        field: u8,
    },
    Third(u8),
}

pub fn free() {}
";

    #[test]
    fn public_items_are_found_and_private_ones_are_not() {
        let lib = "pub use a::{\n    Kind, Other,\n    Thing as Renamed,\n};\npub use b::Thing;\npub use b::free;\n";
        let files =
            [("lib.rs", lib), ("a.rs", SOURCE), ("http/mod.rs", "pub const MAX: u8 = 1;\n")];
        let items = Items::of(files.map(|(path, text)| (path.to_owned(), text.to_owned())));
        for path in [
            "Thing",
            "Renamed",
            "Thing::made",
            "Thing::generic",
            "Thing::from_macro",
            "Thing::write",
            "Other::of_other",
            "Kind::First",
            "Kind::Second",
            "Kind::Third",
            "free",
            "http::MAX",
        ] {
            assert!(items.has(path), "{path}: {items:?}");
        }
        for path in [
            "Thin",
            "Thing::private",
            "Thing::crate_only",
            "Thing::private_of_macro",
            "Kind::field",
            "MAX",
            "http::Thing",
            "http",
            "Thing::made::more",
            "",
        ] {
            assert!(!items.has(path), "{path}: {items:?}");
        }
    }
}
