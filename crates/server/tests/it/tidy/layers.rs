//! Who may import whom: `http, studio, jobs → operations → store → domain` and `jobs → ledger → domain`.

use super::paths::{absolute, paths};
use super::{SourceFile, Violation, lexer, reports};

/// What the production code below a folder may not name, and why.
struct Wall {
    room: &'static str,
    forbidden: &'static [&'static str],
    reason: &'static str,
}

const DOMAIN: Wall = Wall {
    room: "crates/domain/",
    forbidden: &[
        "std::fs",
        "std::io",
        "std::net",
        "std::process",
        "std::thread",
        "std::time",
        "std::env",
        "tokio",
        "futures",
        "futures_util",
        "axum",
        "hyper",
        "reqwest",
        "tower",
        "tower_http",
        "utoipa",
        "rusqlite",
        "tokio_postgres",
        "serde_json",
        "rand",
        "getrandom",
        "tracing",
        "alloy",
        "revm",
        "store",
        "ledger",
        "server",
    ],
    reason: "the domain is pure: no input, output, clock, randomness, SQL, HTTP or JSON",
};
const STORE: Wall = Wall {
    room: "crates/store/",
    forbidden: &["axum", "hyper", "reqwest", "tower", "tower_http", "utoipa", "alloy", "revm", "ledger", "server"],
    reason: "the store knows the domain, no HTTP and no ledger",
};
const LEDGER: Wall = Wall {
    room: "crates/ledger/",
    forbidden: &["axum", "tower", "tower_http", "utoipa", "rusqlite", "tokio_postgres", "store", "server"],
    reason: "the ledger knows the domain, no store and no front",
};
const SERVER: Wall = Wall {
    room: "crates/server/",
    forbidden: &["rusqlite", "tokio_postgres", "deadpool_postgres", "alloy", "revm"],
    reason: "SQL engines belong to the store, the EVM to the ledger",
};
const HTTP: Wall = Wall {
    room: "crates/server/src/http",
    forbidden: &["crate::studio", "crate::jobs"],
    reason: "a front does not know another front",
};
const STUDIO: Wall =
    Wall { room: "crates/server/src/studio", forbidden: &["crate::jobs"], reason: "a front does not know another front" };
const JOBS: Wall =
    Wall { room: "crates/server/src/jobs", forbidden: &["crate::studio"], reason: "a front does not know another front" };
const OPERATIONS: Wall = Wall {
    room: "crates/server/src/operations",
    forbidden: &["crate::studio", "crate::jobs"],
    reason: "operations do not know who calls them",
};
const DESK: Wall = Wall {
    room: "crates/server/src/desk",
    forbidden: &["crate::studio", "crate::jobs"],
    reason: "the desk does not know who calls it",
};
const WALLS: [Wall; 9] = [DOMAIN, STORE, LEDGER, SERVER, HTTP, STUDIO, JOBS, OPERATIONS, DESK];

/// The files that put the program together, and so may name its front.
const COMPOSITION_ROOT: [&str; 5] = [
    "crates/server/src/command.rs",
    "crates/server/src/lib.rs",
    "crates/server/src/main.rs",
    "crates/server/src/program.rs",
    "crates/server/src/program/settings.rs",
];
const HTTP_ROOM: &str = "crates/server/src/http";
const SQL_PHRASES: [&str; 9] = [
    "SELECT ",
    "INSERT INTO ",
    "INSERT OR ",
    "DELETE FROM ",
    "CREATE TABLE ",
    "CREATE INDEX ",
    "ALTER TABLE ",
    "DROP TABLE ",
    "PRAGMA ",
];

/// Paths, in `use` lines or inline, that lead out of the room the wrong way.
pub fn forbidden_imports(file: &SourceFile) -> Vec<Violation> {
    if !file.is_rust() || file.is_test() || !file.path.starts_with("crates/") {
        return Vec::new();
    }
    let code = lexer::without_test_items(&lexer::lex(&file.text).code);
    let mut found = Vec::new();
    for (line, path) in paths(&code) {
        let path = absolute(&path, &file.path);
        for wall in walls_around(&file.path) {
            if wall.forbidden.iter().any(|forbidden| leads_into(&path, forbidden)) {
                found.push(file.violation(line, format!("`{path}`: {}", wall.reason)));
            }
        }
        if leads_into(&path, "crate::http")
            && !file.path.starts_with(HTTP_ROOM)
            && !COMPOSITION_ROOT.contains(&file.path.as_str())
        {
            found.push(file.violation(line, format!("`{path}`: nothing imports http but the composition root")));
        }
        if is_desk_internal(&path) && file.path.starts_with(OPERATIONS.room) {
            found.push(
                file.violation(line, format!("`{path}`: operations name only what the desk itself offers, not its modules")),
            );
        }
    }
    found.dedup();
    found
}

/// Dependencies of a crate's manifest that its room may not use. Development dependencies are free.
pub fn forbidden_dependencies(file: &SourceFile) -> Vec<Violation> {
    if !file.path.ends_with("/Cargo.toml") {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut section = "";
    for (index, line) in file.text.lines().enumerate() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end().trim_end_matches(']');
        }
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default().replace('-', "_");
        let counts = section.ends_with("dependencies") && !section.ends_with("dev-dependencies");
        for wall in walls_around(&file.path).filter(|wall| counts && wall.forbidden.contains(&name.as_str())) {
            found.push(file.violation(index + 1, format!("dependency `{name}`: {}", wall.reason)));
        }
    }
    found
}

/// String literals of production code that hold SQL, outside the store.
pub fn sql_outside_store(file: &SourceFile) -> Vec<Violation> {
    if !file.is_rust() || file.is_test() || file.path.starts_with(STORE.room) {
        return Vec::new();
    }
    let lexed = lexer::lex(&file.text);
    let production = lexer::without_test_items(&lexed.code);
    let production_lines: Vec<&str> = production.lines().collect();
    let in_production = |line: usize| production_lines.get(line - 1).is_some_and(|code| code.contains('"'));
    let literals = lexed.strings.iter().filter(|(line, literal)| in_production(*line) && is_sql(literal));
    literals.map(|(line, _)| file.violation(*line, "SQL outside crates/store")).collect()
}

fn is_sql(literal: &str) -> bool {
    SQL_PHRASES.iter().any(|phrase| literal.contains(phrase)) || literal.contains("UPDATE ") && literal.contains(" SET ")
}

fn walls_around(path: &str) -> impl Iterator<Item = &'static Wall> {
    WALLS.iter().filter(move |wall| {
        path.strip_prefix(wall.room).is_some_and(|rest| wall.room.ends_with('/') || rest.starts_with(['/', '.']))
    })
}

fn leads_into(path: &str, target: &str) -> bool {
    path.strip_prefix(target).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn is_desk_internal(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("crate::desk::") else {
        return false;
    };
    rest.starts_with(char::is_lowercase) && rest.contains("::")
}

#[test]
fn planted_imports_are_reported() {
    let found = |path: &str, text: &str| reports(forbidden_imports, path, text);
    assert_eq!(
        found("crates/domain/src/money.rs", "use std::fmt;\nuse std::{fmt, time::Instant};\n"),
        [format!("2: `std::time::Instant`: {}", DOMAIN.reason)]
    );
    assert_eq!(
        found("crates/domain/src/money.rs", "fn a() {\n    std::fs::read(b);\n}\n"),
        [format!("2: `std::fs::read`: {}", DOMAIN.reason)]
    );
    assert_eq!(found("crates/store/src/lib.rs", "use ledger::Chain;"), [format!("1: `ledger::Chain`: {}", STORE.reason)]);
    assert_eq!(
        found("crates/ledger/src/rpc.rs", "use {\n    domain::Units,\n    store as s,\n};"),
        [format!("3: `store`: {}", LEDGER.reason)]
    );
    assert_eq!(
        found("crates/server/src/jobs/credit.rs", "use alloy::primitives::U256;"),
        [format!("1: `alloy::primitives::U256`: {}", SERVER.reason)]
    );
    assert_eq!(
        found("crates/server/src/http/router.rs", "use crate::{clock, studio::page};"),
        [format!("1: `crate::studio::page`: {}", HTTP.reason)]
    );
    assert_eq!(
        found(
            "crates/server/src/operations/investment.rs",
            "use super::super::http::error::Problem;\nuse crate::desk::queue::Queue;"
        ),
        [
            "1: `crate::http::error::Problem`: nothing imports http but the composition root",
            "2: `crate::desk::queue::Queue`: operations name only what the desk itself offers, not its modules"
        ]
    );
}

#[test]
fn imports_in_the_right_direction_pass() {
    let found = |path: &str, text: &str| reports(forbidden_imports, path, text);
    let none: [&str; 0] = [];
    assert_eq!(found("crates/server/src/lib.rs", "pub use crate::http::router;"), none);
    assert_eq!(
        found("crates/server/src/http/error.rs", "use super::page;\nuse crate::operations::campaign;\nuse store::Pages;"),
        none
    );
    assert_eq!(
        found("crates/server/src/jobs/credit.rs", "use crate::{desk::Desk, operations};\nuse ledger::Chain;\n// use alloy::x;"),
        none
    );
    assert_eq!(found("crates/domain/src/units.rs", "#[cfg(test)]\nmod tests {\n    use std::fs;\n}"), none);
    assert_eq!(found("crates/server/tests/it/world.rs", "use rusqlite::Connection;"), none);
}

#[test]
fn planted_dependencies_are_reported() {
    let manifest = "[package]\nname = \"domain\"\n[dependencies]\nhex.workspace = true\ntower-http = \"1\"\n[dev-dependencies]\ntokio = \"1\"\n";
    assert_eq!(
        reports(forbidden_dependencies, "crates/domain/Cargo.toml", manifest),
        [format!("5: dependency `tower_http`: {}", DOMAIN.reason)]
    );
}

#[test]
fn planted_sql_is_reported() {
    let text = "const A: &str = \"select one\";\nconst B: &str = \"UPDATE product SET used = 1\";\n#[cfg(test)]\nmod t { const C: &str = \"SELECT 1\"; }";
    assert_eq!(reports(sql_outside_store, "crates/server/src/operations/product.rs", text), ["2: SQL outside crates/store"]);
    let none: [&str; 0] = [];
    assert_eq!(reports(sql_outside_store, "crates/store/src/sqlite/product.rs", text), none);
}
