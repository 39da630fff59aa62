//! No binary float on the way of money (row M01): none is named, and arithmetic with one does not pass clippy.

use super::lexer::lex;
use super::{SourceFile, Violation};

/// Where floats may stand: figures that people watch, and the reader of JSON that turns a float away.
const MAY_NAME_FLOATS: [&str; 2] = ["crates/server/src/meters/", "crates/server/src/http/body/json.rs"];

/// Float types in production code.
pub fn binary_floats(file: &SourceFile) -> Vec<Violation> {
    let is_production = file.is_rust() && file.path.starts_with("crates/") && !file.is_test();
    if !is_production || MAY_NAME_FLOATS.iter().any(|place| file.path.starts_with(place)) {
        return Vec::new();
    }
    let lexed = lex(&file.text);
    let is_float = |word: &str| word == "f32" || word == "f64" || word.ends_with("_f32") || word.ends_with("_f64");
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let lines = lexed.code.lines().zip(1..);
    let named = lines.filter(|(line, _)| line.split(|c| !is_word(c)).any(is_float));
    named.map(|(_, line)| file.violation(line, "a binary float in the money path")).collect()
}

/// Crates that do not take over the workspace's lints, and a workspace that allows float arithmetic.
pub fn lax_lints(file: &SourceFile) -> Vec<Violation> {
    let due = match file.path.as_str() {
        "Cargo.toml" => "float_arithmetic = \"deny\"",
        path if path.starts_with("crates/") && path.ends_with("/Cargo.toml") => "[lints]\nworkspace = true",
        _else => return Vec::new(),
    };
    if file.text.contains(due) { Vec::new() } else { vec![file.violation(1, format!("must say {due:?}"))] }
}
