//! Sizes and names.

use super::lexer;
use super::{SourceFile, Violation, reports};

const FILE_LINES_MAX: usize = 500;
const RUST_LINE_CHARS_MAX: usize = 160;
const ARCHITECTURE_LINES_MAX: usize = 200;
/// Words that say nothing about what is inside.
const EMPTY_WORDS: [&str; 10] =
    ["common", "helper", "helpers", "manager", "managers", "misc", "service", "services", "util", "utils"];
const DECLARATIONS: [&str; 5] = ["struct", "enum", "trait", "type", "mod"];

/// Source files whose part that is not test code is longer than 500 lines, and an `ARCHITECTURE.md` of more than 200.
pub fn long_files(file: &SourceFile) -> Vec<Violation> {
    let (lines, lines_max) = if file.path == "ARCHITECTURE.md" {
        (file.text.lines().count(), ARCHITECTURE_LINES_MAX)
    } else if file.is_rust() && !file.is_test() {
        (production_lines(&file.text), FILE_LINES_MAX)
    } else if file.has_extension(&["py", "sol", "sh", "js"]) || file.path == "check" {
        (file.text.lines().count(), FILE_LINES_MAX)
    } else {
        return Vec::new();
    };
    if lines <= lines_max {
        Vec::new()
    } else {
        vec![file.violation(lines_max + 1, format!("{lines} lines, at most {lines_max}"))]
    }
}

/// Lines of Rust that do not fit beside a second editor pane.
pub fn long_lines(file: &SourceFile) -> Vec<Violation> {
    let lengths = file.text.lines().map(|line| line.chars().count()).enumerate();
    let long = lengths.filter(|&(_, length)| file.is_rust() && length > RUST_LINE_CHARS_MAX);
    long.map(|(index, length)| file.violation(index + 1, format!("{length} characters, at most {RUST_LINE_CHARS_MAX}"))).collect()
}

/// Files, folders, modules and types that are called by an empty word.
pub fn empty_names(file: &SourceFile) -> Vec<Violation> {
    let mut found = Vec::new();
    for part in file.path.split('/') {
        let stem = part.split('.').next().unwrap_or_default();
        if EMPTY_WORDS.contains(&stem.to_lowercase().as_str()) {
            found.push(file.violation(1, format!("`{part}` says nothing about what is inside")));
        }
    }
    if file.is_rust() {
        for (index, line) in lexer::lex(&file.text).code.lines().enumerate() {
            let words: Vec<&str> = lexer::words(line).map(|(_, word)| word).collect();
            let declared = words.windows(2).filter(|pair| DECLARATIONS.contains(&pair[0])).map(|pair| pair[1]);
            let empty = declared.filter(|name| name_words(name).iter().any(|word| EMPTY_WORDS.contains(&word.as_str())));
            found.extend(empty.map(|name| file.violation(index + 1, format!("`{name}` says nothing about what is inside"))));
        }
    }
    found
}

/// Decision records that are not called `0001-….md`, `0002-….md` and so on without a gap.
pub fn unnumbered_decisions(paths: &[String]) -> Vec<Violation> {
    let mut names: Vec<&str> = paths
        .iter()
        .filter_map(|path| path.strip_prefix("docs/decisions/"))
        .filter(|name| name.rsplit_once('.').is_some_and(|(_, extension)| extension == "md"))
        .collect();
    names.sort_unstable();
    let numbered = names.iter().enumerate().filter(|(index, name)| !name.starts_with(&format!("{:04}-", index + 1)));
    numbered
        .map(|(index, name)| Violation {
            path: format!("docs/decisions/{name}"),
            line: 1,
            message: format!("expected number {:04}", index + 1),
        })
        .collect()
}

/// How many lines do not belong to `#[cfg(test)]` items.
fn production_lines(text: &str) -> usize {
    let code = lexer::lex(text).code;
    let test_items = lexer::test_items(&code).into_iter();
    text.lines().count() - test_items.map(|item| code[item].lines().count()).sum::<usize>()
}

/// `InvestorService` and `investor_service` are both `investor`, `service`.
fn name_words(name: &str) -> Vec<String> {
    let mut spaced = String::new();
    for c in name.chars() {
        if c.is_uppercase() {
            spaced.push('_');
        }
        spaced.extend(c.to_lowercase());
    }
    spaced.split('_').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[test]
fn planted_lengths_are_reported() {
    let production = "fn a() {}\n".repeat(FILE_LINES_MAX);
    let none: [&str; 0] = [];
    let with_tests = format!("{production}#[cfg(test)]\nmod tests {{\n// a\n\nfn b() {{}}\n}}\n");
    assert_eq!(reports(long_files, "crates/domain/src/money.rs", &with_tests), none);
    assert_eq!(
        reports(long_files, "crates/domain/src/money.rs", &format!("{production}fn c() {{}}\n")),
        ["501: 501 lines, at most 500"]
    );
    assert_eq!(reports(long_files, "ARCHITECTURE.md", &"a\n".repeat(201)), ["201: 201 lines, at most 200"]);
    assert_eq!(
        reports(long_lines, "a.rs", &format!("a\n{}\n{}\n", "ä".repeat(160), "b".repeat(161))),
        ["3: 161 characters, at most 160"]
    );
}

#[test]
fn planted_names_are_reported() {
    let message = |name: &str| format!("1: `{name}` says nothing about what is inside");
    assert_eq!(reports(empty_names, "crates/store/src/utils.rs", ""), [message("utils.rs")]);
    assert_eq!(reports(empty_names, "crates/store/src/helpers/page.rs", ""), [message("helpers")]);
    assert_eq!(reports(empty_names, "a.rs", "pub struct InvestorManager;"), [message("InvestorManager")]);
    assert_eq!(
        reports(empty_names, "a.rs", "mod string_utils { use tower::Service; } // trait Helper"),
        [message("string_utils")]
    );
}

#[test]
fn planted_decisions_are_reported() {
    let paths = ["docs/decisions/0001-a.md", "docs/decisions/0003-b.md", "docs/operating.md"].map(str::to_owned);
    let lines: Vec<String> = unnumbered_decisions(&paths).iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["docs/decisions/0003-b.md:1: expected number 0002"]);
}
