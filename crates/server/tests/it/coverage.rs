//! Which rows of the catalogue of faults and attacks the tests cover, and which not yet.
//!
//! A test covers a row when it carries the row's id at the beginning of its name (`s03_…`, `i01_i03_…`) and asserts what
//! the row expects. A step of `./check` covers one by a comment `# covers Y01`. What is not covered stands in
//! `coverage/uncovered.txt`, which may only shrink: `SCRIP_WRITE_DOCS=1 cargo test -p server --test it coverage` takes
//! out what is covered by now.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::tidy::{SourceFile, repository_files};

/// The rows that this program has to cover.
const ROWS: &[(char, RangeInclusive<u8>)] = &[
    ('B', 1..=7),
    ('B', 11..=11),
    ('A', 1..=18),
    ('C', 1..=12),
    ('T', 1..=9),
    ('T', 16..=16),
    ('I', 1..=15),
    ('S', 1..=10),
    ('D', 1..=2),
    ('D', 8..=13),
    ('B', 12..=16),
    ('B', 18..=19),
    ('L', 1..=24),
    ('K', 1..=16),
    ('O', 1..=1),
    ('O', 7..=8),
    ('O', 12..=12),
    ('O', 14..=14),
    ('M', 1..=12),
    ('Y', 1..=5),
    ('H', 1..=4),
    ('H', 7..=9),
    ('H', 11..=15),
];

/// The last row of each group of the catalogue, so that a mistyped id is seen.
const LAST: &[(char, u8)] = &[
    ('A', 18),
    ('C', 12),
    ('T', 17),
    ('I', 15),
    ('S', 12),
    ('D', 14),
    ('B', 22),
    ('K', 16),
    ('L', 24),
    ('M', 12),
    ('O', 14),
    ('Y', 8),
    ('H', 17),
];

fn rows() -> BTreeSet<String> {
    ROWS.iter().cloned().flat_map(|(group, numbers)| numbers.map(move |number| format!("{group}{number:02}"))).collect()
}

fn list_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/coverage/uncovered.txt")
}

/// The rows at the beginning of a test's name.
fn ids_of_name(name: &str) -> Vec<String> {
    let segments = name.split('_').skip_while(|segment| ["test", "testFuzz", "invariant"].contains(segment));
    segments.map_while(id_of_segment).collect()
}

fn id_of_segment(segment: &str) -> Option<String> {
    let [group, tens, ones] = segment.as_bytes() else { return None };
    let is_id = group.is_ascii_lowercase() && tens.is_ascii_digit() && ones.is_ascii_digit();
    is_id.then(|| segment.to_uppercase())
}

/// The names of the tests in a file.
fn test_names(file: &SourceFile) -> Vec<String> {
    let name_behind =
        |line: &str, word: &str| line.split(word).nth(1).map(|rest| rest.split(['(', '<', ' ']).next().unwrap().to_owned());
    if !file.is_rust() {
        let functions = file.text.lines().filter_map(|line| name_behind(line.trim_start(), "function "));
        return functions.filter(|name| name.starts_with("test") || name.starts_with("invariant")).collect();
    }
    let mut names = Vec::new();
    let mut is_test = false;
    for line in file.text.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(name) = name_behind(line, "fn ").filter(|_| !line.starts_with("//")) {
            names.extend(is_test.then_some(name));
            is_test = false;
        }
    }
    names
}

/// The rows that stand behind `# covers` in a script.
fn ids_of_comments(script: &str) -> Vec<String> {
    let comments = script.lines().filter_map(|line| line.trim_start().strip_prefix("# covers "));
    comments.flat_map(|ids| ids.split([' ', ',']).filter(|id| !id.is_empty()).map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Every row with an id somewhere, and where.
fn covered(files: &[SourceFile]) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files {
        let is_source = file.path.starts_with("crates/") && file.is_rust();
        if is_source || file.path.starts_with("contracts/tests/") {
            for name in test_names(file) {
                for id in ids_of_name(&name) {
                    found.entry(id).or_default().push(format!("{}: {name}", file.path));
                }
            }
        }
        if file.path == "check" {
            for id in ids_of_comments(&file.text) {
                found.entry(id).or_default().push("check".to_owned());
            }
        }
    }
    found
}

#[test]
fn the_list_of_uncovered_rows_is_true_and_only_shrinks() {
    let covered = covered(&repository_files());
    let uncovered: BTreeSet<String> = rows().into_iter().filter(|row| !covered.contains_key(row)).collect();
    println!("not yet covered: {}", uncovered.iter().map(String::as_str).collect::<Vec<_>>().join(" "));
    let text = std::fs::read_to_string(list_path()).unwrap();
    let mut listed: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    if std::env::var_os("SCRIP_WRITE_DOCS").is_some() {
        listed.retain(|row| uncovered.contains(row));
        std::fs::write(list_path(), listed.iter().map(|row| format!("{row}\n")).collect::<Vec<_>>().concat()).unwrap();
    }
    let missing: Vec<&String> = uncovered.difference(&listed).collect();
    assert!(missing.is_empty(), "no test carries the id of {missing:?} any more");
    let stale: Vec<&String> = listed.difference(&uncovered).collect();
    assert!(stale.is_empty(), "{stale:?} are covered: run this test with SCRIP_WRITE_DOCS=1 to shorten the list");
}

#[test]
fn every_id_in_a_name_is_a_row() {
    for (id, places) in covered(&repository_files()) {
        let (group, number) = id.split_at(1);
        let last = LAST.iter().find(|(letter, _)| group.starts_with(*letter)).map(|(_, last)| *last);
        let number: u8 = number.parse().unwrap();
        assert!(last.is_none_or(|last| (1..=last).contains(&number)), "there is no row {id}: {places:?}");
    }
}

#[test]
fn tests_and_comments_are_found_and_nothing_else() {
    let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
    let files = [
        file("crates/x/src/a.rs", "#[test]\nfn a01_a02_one() {}\nfn a03_helper() {}\n// fn a04_comment() {}\n"),
        file(
            "crates/x/tests/it/b.rs",
            "    #[tokio::test(flavor = \"multi_thread\")]\n    // why\n    async fn t01_two() {}\n#[test]\nfn plain() {}\n#[test]\nfn is_a05() {}\n",
        ),
        file(
            "contracts/tests/C.t.sol",
            "  function test_i01_three() public {\n  function s01_helper() public {\n function invariant_s02_four() {",
        ),
        file("docs/d.rs", "#[test]\nfn a06_elsewhere() {}\n"),
        file("check", "# covers Y01 Y02\n  # covers Y03, Y05\n# Y04 is not covered\n"),
    ];
    let found: Vec<String> = covered(&files).into_keys().collect();
    assert_eq!(found, ["A01", "A02", "I01", "S02", "T01", "Y01", "Y02", "Y03", "Y05"]);
    assert_eq!(rows().len(), 162);
}

/// Lock files are honoured, and nothing that is installed runs a script of its own.
#[test]
fn y03_every_build_is_locked_and_no_install_script_runs() {
    let files = repository_files();
    let text = |path: &str| &files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("{path} is missing")).text;
    for path in ["Cargo.lock", "contracts/package-lock.json", "clients/python/requirements.txt"] {
        assert!(!text(path).is_empty());
    }
    let scripts = files.iter().filter(|file| file.text.starts_with("#!") && !file.path.starts_with("crates/"));
    let mut seen = 0;
    for script in scripts {
        for line in script.text.lines().map(str::trim_start).filter(|line| !line.starts_with(['#', '/'])) {
            let is_cargo =
                ["cargo test", "cargo clippy", "cargo build", "cargo doc", "cargo run", "cargo install", "cargo bench"]
                    .iter()
                    .any(|command| line.contains(command));
            assert!(!is_cargo || line.contains("--locked") || line.contains("--version"), "{}: {line}", script.path);
            let is_npm = line.contains("npm ") && !line.contains("command -v") && !line.contains("install_packages");
            assert!(!is_npm || (line.contains("npm ci") && line.contains("--ignore-scripts")), "{}: {line}", script.path);
            seen += usize::from(is_cargo || is_npm);
        }
    }
    assert!(seen >= 6, "only {seen} commands were found");
    for requirements in files.iter().filter(|file| file.path.starts_with("clients/python/requirements")) {
        for line in requirements.text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            assert!(line.contains("==") || line.starts_with("-r "), "{}: {line} is not pinned", requirements.path);
        }
    }
}
