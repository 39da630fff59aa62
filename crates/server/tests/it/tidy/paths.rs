//! The paths that a Rust text names.

use super::lexer::is_word;

/// Every path of at least two segments, and every path of a `use` item with its braces written out, with its line.
pub fn paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut rest = code;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let word_length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_length);
        let length = if word == "use" && after.starts_with(char::is_whitespace) {
            let tree = &after[..after.find(';').unwrap_or(after.len())];
            expand(tree, "", line, &mut found);
            word_length + tree.len()
        } else if word.is_empty() {
            first.len_utf8()
        } else {
            let length = rest.find(|c| !is_word(c) && c != ':').unwrap_or(rest.len());
            let path = rest[..length].trim_end_matches(':');
            if path.contains("::") {
                found.push((line, path.to_owned()));
            }
            length
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// `path` with `self::`, `super::` and the library's own name resolved to `crate::`, for a file at `file_path`.
pub fn absolute(path: &str, file_path: &str) -> String {
    let path = path.strip_prefix("server::").map_or_else(|| path.to_owned(), |rest| format!("crate::{rest}"));
    let mut modules: Vec<&str> = file_path.split("/src/").nth(1).unwrap_or_default().trim_end_matches(".rs").split('/').collect();
    if matches!(modules.last(), Some(&("mod" | "lib" | "main"))) {
        modules.pop();
    }
    let mut rest = path.as_str();
    let mut relative = false;
    loop {
        if let Some(inner) = rest.strip_prefix("super::") {
            modules.pop();
            rest = inner;
        } else if let Some(inner) = rest.strip_prefix("self::") {
            rest = inner;
        } else {
            break;
        }
        relative = true;
    }
    if !relative {
        return path;
    }
    std::iter::once("crate").chain(modules).chain([rest]).collect::<Vec<_>>().join("::")
}

/// Writes out a use tree: `a::{b, c::{d, e}}` is `a::b`, `a::c::d` and `a::c::e`. `line` is that on which the tree begins.
fn expand(tree: &str, prefix: &str, line: usize, found: &mut Vec<(usize, String)>) {
    let mut depth = 0;
    let mut start = 0;
    for (index, c) in tree.char_indices().chain([(tree.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let branch = &tree[start..index];
                let lead = branch.len() - branch.trim_start().len();
                let line = line + tree[..start + lead].matches('\n').count();
                match branch.split_once('{') {
                    Some((head, inner)) => {
                        let inner = &inner[..inner.rfind('}').unwrap_or(inner.len())];
                        expand(inner, &format!("{prefix}{}", head.trim()), line, found);
                    }
                    None if branch.trim().is_empty() => {}
                    None => found.push((line, format!("{prefix}{}", branch.split_whitespace().next().unwrap_or_default()))),
                }
                start = index + 1;
            }
            _ => {}
        }
    }
}

#[test]
fn use_trees_are_written_out() {
    let code = "use a::{\n    b,\n    c::{d as e, self},\n};\nfn f() -> g::H { ::i::j() }\n";
    let found: Vec<(usize, String)> = paths(code);
    let expected = [(2, "a::b"), (3, "a::c::d"), (3, "a::c::self"), (5, "g::H"), (5, "i::j")];
    assert_eq!(found, expected.map(|(line, path)| (line, path.to_owned())));
}

#[test]
fn relative_paths_are_resolved() {
    let path = "crates/server/src/jobs/credit.rs";
    assert_eq!(absolute("super::watch::Watch", path), "crate::jobs::watch::Watch");
    assert_eq!(absolute("super::super::desk", path), "crate::desk");
    assert_eq!(absolute("self::a", "crates/server/src/jobs/mod.rs"), "crate::jobs::a");
    assert_eq!(absolute("server::http::router", "crates/server/src/main.rs"), "crate::http::router");
    assert_eq!(absolute("store::Page", path), "store::Page");
}
