//! Marks of unfinished work, calls that panic, silenced lints, and traces of the machine on which something was written.
//!
//! The wanted words are put together by `concat!`, so that this file does not report itself.

use super::lexer::is_word;
use super::{SourceFile, Violation, lexer, reports};

const UNFINISHED_WORDS: [&str; 4] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX"), concat!("HA", "CK")];
const UNFINISHED_MACROS: [&str; 3] = ["dbg!", "todo!", "unimplemented!"];
const PANICKING_CALLS: [&str; 2] = [".unwrap()", ".expect(\""];
const SILENCED_LINTS: [&str; 2] = ["#[allow(", "#![allow("];
const CODE_EXTENSIONS: [&str; 8] = ["css", "js", "py", "rs", "sh", "sol", "sql", "ts"];
/// Folders that exist on one machine only, and names of private package registries.
const MACHINE_TRACES: [&str; 10] = [
    concat!("/wo", "rk/main"),
    concat!("/wo", "rk/shared"),
    concat!("/wo", "rk/steering"),
    concat!("/wo", "rk/.library"),
    concat!("/ro", "ot/"),
    concat!("/fa", "rm/"),
    concat!("/tmp/", "bash_jobs"),
    concat!("/tmp/", "team"),
    concat!("arti", "factory"),
    concat!("jf", "rog"),
];
const PUBLIC_NPM_REGISTRY: &str = "https://registry.npmjs.org/";

/// Words and macros that mark unfinished work.
pub fn unfinished(file: &SourceFile) -> Vec<Violation> {
    if !file.has_extension(&CODE_EXTENSIONS) && file.path != "check" {
        return Vec::new();
    }
    if !file.is_rust() {
        return occurrences(file, &file.text, &UNFINISHED_WORDS, "marks unfinished work");
    }
    // In a Rust literal the same letters are data, such as the currency code of "no currency".
    let lexed = lexer::lex(&file.text);
    let mut found = occurrences(file, &lexed.comments, &UNFINISHED_WORDS, "marks unfinished work");
    found.extend(occurrences(file, &lexed.code, &UNFINISHED_MACROS, "is not for committed code"));
    found
}

/// Calls of production code that panic where an error should be returned.
pub fn panicking_calls(file: &SourceFile) -> Vec<Violation> {
    if !file.is_rust() || file.is_test() {
        return Vec::new();
    }
    let production = lexer::without_test_items(&lexer::lex(&file.text).code);
    occurrences(file, &production, &PANICKING_CALLS, "panics: return an error")
}

/// Lints that are silenced without a reason.
pub fn silenced_lints(file: &SourceFile) -> Vec<Violation> {
    if !file.is_rust() {
        return Vec::new();
    }
    occurrences(file, &lexer::lex(&file.text).code, &SILENCED_LINTS, "hides a lint: use `#[expect(lint, reason = \"…\")]`")
}

/// Paths of one machine, private registries, and lock files that point elsewhere than to the public registry.
pub fn machine_traces(file: &SourceFile) -> Vec<Violation> {
    let mut found = occurrences(file, &file.text, &MACHINE_TRACES, "belongs to one machine");
    for (index, line) in file.text.lines().enumerate() {
        let Some((_, url)) = line.split_once("\"resolved\": \"") else {
            continue;
        };
        if file.path.ends_with("package-lock.json") && !url.starts_with(PUBLIC_NPM_REGISTRY) {
            found.push(file.violation(index + 1, "a package is not taken from the public registry"));
        }
    }
    found
}

/// Where one of `wanted` stands in `text`, not as a part of a longer word.
fn occurrences(file: &SourceFile, text: &str, wanted: &[&str], complaint: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for word in wanted.iter().filter(|word| contains_word(line, word)) {
            found.push(file.violation(index + 1, format!("`{word}` {complaint}")));
        }
    }
    found
}

fn contains_word(line: &str, word: &str) -> bool {
    let continues = |edge: Option<char>, neighbour: Option<char>| edge.is_some_and(is_word) && neighbour.is_some_and(is_word);
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !continues(word.chars().next(), before) && !continues(word.chars().next_back(), after)
    })
}

#[test]
fn planted_marks_are_reported() {
    let [mark, ..] = UNFINISHED_WORDS;
    let text = format!("// {mark}: later\nlet s = \"todo!\"; todo!();\nmy_dbg!(x); {mark}S\n");
    let expected = [format!("1: `{mark}` marks unfinished work"), "2: `todo!` is not for committed code".to_owned()];
    assert_eq!(reports(unfinished, "a.rs", &text), expected);
    assert_eq!(reports(unfinished, "a.py", &format!("# {mark}\n")), [format!("1: `{mark}` marks unfinished work")]);
}

#[test]
fn planted_panics_are_reported() {
    let text = "fn a() {\n    b.unwrap();\n    c.expect(\"d\");\n    parser.expect(e);\n}\n#[cfg(test)]\nmod tests {\n    fn f() { g.unwrap() }\n}\n";
    let found = reports(panicking_calls, "crates/domain/src/a.rs", text);
    assert_eq!(found, ["2: `.unwrap()` panics: return an error", "3: `.expect(\"` panics: return an error"]);
    assert_eq!(reports(panicking_calls, "crates/server/tests/it/a.rs", text).len(), 0);
}

#[test]
fn planted_silence_is_reported() {
    let found = reports(silenced_lints, "a.rs", "#[expect(dead_code, reason = \"r\")]\n#[allow(dead_code)]\n");
    assert_eq!(found, ["2: `#[allow(` hides a lint: use `#[expect(lint, reason = \"…\")]`"]);
}

#[test]
fn planted_machine_traces_are_reported() {
    let [trace, ..] = MACHINE_TRACES;
    assert_eq!(
        reports(machine_traces, "README.md", &format!("a\ncd {trace}\n")),
        [format!("2: `{trace}` belongs to one machine")]
    );
    let lock = "\"resolved\": \"https://registry.npmjs.org/a.tgz\"\n\"resolved\": \"https://mirror.example/a.tgz\"\n";
    assert_eq!(
        reports(machine_traces, "contracts/package-lock.json", lock),
        ["2: a package is not taken from the public registry"]
    );
}
