//! The rules of the house that the compiler does not know: who may import whom, where SQL may stand, how long a file may be, which
//! words and marks are not used. Every rule is a pure function over file texts with a test that shows it a violation.

mod floats;
mod layers;
mod lexer;
mod marks;
mod paths;
mod shape;

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

/// One file of the repository: its path from the root, and its text.
pub struct SourceFile {
    pub path: String,
    pub text: String,
}

/// One broken rule, at a place that an editor can jump to.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    path: String,
    line: usize,
    message: String,
}

impl SourceFile {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    fn has_extension(&self, wanted: &[&str]) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, extension)| wanted.contains(&extension))
    }

    pub fn is_rust(&self) -> bool {
        self.has_extension(&["rs"])
    }

    /// A whole file of tests: below a `tests` or `benches` folder, or a module called `tests` or `…_tests`.
    fn is_test(&self) -> bool {
        let stem = self.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        self.path.split('/').any(|part| part == "tests" || part == "benches") || stem == "tests" || stem.ends_with("_tests")
    }

    fn violation(&self, line: usize, message: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line, message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// All text files that git tracks or would track, with the root's ignore rules applied.
pub fn repository_files() -> Vec<SourceFile> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let listing = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&root)
        .output()
        .expect("git runs");
    assert!(listing.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listing.stderr));
    let names = String::from_utf8(listing.stdout).expect("paths are UTF-8");
    names
        .split_terminator('\0')
        .filter_map(|name| std::fs::read(root.join(name)).ok().map(|bytes| (name, bytes)))
        .filter_map(|(name, bytes)| String::from_utf8(bytes).ok().map(|text| SourceFile::new(name, &text)))
        .collect()
}

fn assert_clean(violations: &[Violation]) {
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} violations:\n{}", lines.len(), lines.join("\n"));
}

fn assert_rule(rule: fn(&SourceFile) -> Vec<Violation>) {
    assert_clean(&repository_files().iter().flat_map(rule).collect::<Vec<_>>());
}

/// What a rule says about one planted file, as `line: message`.
fn reports(rule: fn(&SourceFile) -> Vec<Violation>, path: &str, text: &str) -> Vec<String> {
    rule(&SourceFile::new(path, text)).into_iter().map(|found| format!("{}: {}", found.line, found.message)).collect()
}

#[test]
fn the_repository_is_found() {
    let files = repository_files();
    for path in ["Cargo.toml", "crates/domain/src/lib.rs", "crates/server/tests/it/tidy.rs"] {
        assert!(files.iter().any(|file| file.path == path), "{path} is not among {} files", files.len());
    }
}

#[test]
fn rooms_import_only_what_they_may() {
    assert_rule(layers::forbidden_imports);
}

#[test]
fn manifests_depend_only_on_what_the_room_may_use() {
    assert_rule(layers::forbidden_dependencies);
}

#[test]
fn sql_stands_only_in_the_store() {
    assert_rule(layers::sql_outside_store);
}

#[test]
fn files_and_lines_are_short() {
    assert_rule(shape::long_files);
    assert_rule(shape::long_lines);
}

#[test]
fn names_say_what_a_thing_is() {
    assert_rule(shape::empty_names);
}

#[test]
fn decisions_are_numbered() {
    let paths: Vec<String> = repository_files().into_iter().map(|file| file.path).collect();
    assert_clean(&shape::unnumbered_decisions(&paths));
}

#[test]
fn nothing_is_left_unfinished() {
    assert_rule(marks::unfinished);
}

#[test]
fn production_code_returns_errors() {
    assert_rule(marks::panicking_calls);
}

#[test]
fn m01_no_binary_float_is_in_the_money_path() {
    assert_rule(floats::binary_floats);
    assert_rule(floats::lax_lints);
    let planted = "// f64\nfn cents(price: f64) -> i64 {\n    let share = total as f32;\n    \"f64\"; rate.to_f64()\n}\n";
    let found = [2, 3, 4].map(|line| format!("{line}: a binary float in the money path"));
    assert_eq!(reports(floats::binary_floats, "crates/domain/src/money.rs", planted), found);
    assert_eq!(reports(floats::binary_floats, "crates/server/src/meters/state.rs", planted), [""; 0]);
    assert_eq!(
        reports(floats::lax_lints, "Cargo.toml", "float_arithmetic = \"warn\""),
        ["1: must say \"float_arithmetic = \\\"deny\\\"\""]
    );
    assert_eq!(reports(floats::lax_lints, "crates/domain/Cargo.toml", "[lints]\n").len(), 1);
}

#[test]
fn no_lint_is_silenced_without_a_reason() {
    assert_rule(marks::silenced_lints);
}

#[test]
fn no_file_knows_a_machine_or_a_private_registry() {
    assert_rule(marks::machine_traces);
}
