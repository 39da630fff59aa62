//! The versions of the schema: one list of migrations for both engines, and what a program does with the version it finds.
//!
//! Migrations go forwards only, each in one database transaction of its own, so that a killed one has not happened and the
//! next opening goes on where it stood. A migration that only expands (a table, an index, a column that older programs
//! need not write) leaves older programs working: they go on, and start, while `compatible_from` is not above their own
//! version. What older programs cannot live with is a contraction and names itself there; it belongs into a later release
//! than the program that no longer needs the old form.

use crate::error::StoreError;

/// One step of the schema.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Migration {
    /// Programs whose own newest version is at least this one work on the database after the step.
    pub(crate) compatible_from: i64,
    /// For the embedded engine.
    pub(crate) sqlite: &'static str,
    /// For a `PostgreSQL` server. It waits two seconds at most for each lock, so it must not run `CONCURRENTLY`.
    pub(crate) postgres: &'static str,
}

/// Every migration; the schema's version is its place, from 1.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        compatible_from: 1,
        sqlite: include_str!("sqlite/migrations/0001_primary_market.sql"),
        postgres: include_str!("postgres/migrations/0001_primary_market.sql"),
    },
    Migration {
        compatible_from: 1,
        sqlite: include_str!("sqlite/migrations/0002_faster_writes.sql"),
        postgres: include_str!("postgres/migrations/0002_faster_writes.sql"),
    },
    Migration {
        compatible_from: 1,
        sqlite: include_str!("sqlite/migrations/0003_investments_by_campaign_and_status.sql"),
        postgres: include_str!("postgres/migrations/0003_investments_by_campaign_and_status.sql"),
    },
    // Issuing once does not depend on leases, so an older program may work beside newer ones.
    Migration {
        compatible_from: 1,
        sqlite: include_str!("sqlite/migrations/0004_leases.sql"),
        postgres: include_str!("postgres/migrations/0004_leases.sql"),
    },
    // Older programs cannot read terms with coupons, and would take amounts that bear interest for final.
    Migration {
        compatible_from: 5,
        sqlite: include_str!("sqlite/migrations/0005_interest.sql"),
        postgres: include_str!("postgres/migrations/0005_interest.sql"),
    },
    // Older programs would put the tokens of every network on the embedded ledger.
    Migration {
        compatible_from: 6,
        sqlite: include_str!("sqlite/migrations/0006_networks.sql"),
        postgres: include_str!("postgres/migrations/0006_networks.sql"),
    },
    Migration {
        compatible_from: 6,
        sqlite: include_str!("sqlite/migrations/0007_investments_by_wallet.sql"),
        postgres: include_str!("postgres/migrations/0007_investments_by_wallet.sql"),
    },
    // Older programs would give numbers again that a lost history may have used on a ledger.
    Migration {
        compatible_from: 8,
        sqlite: include_str!("sqlite/migrations/0008_numbers_after_a_restore.sql"),
        postgres: include_str!("postgres/migrations/0008_numbers_after_a_restore.sql"),
    },
    // Older programs would sign for products whose credits rest, and count investments without their units.
    Migration {
        compatible_from: 9,
        sqlite: include_str!("sqlite/migrations/0009_reconciliation.sql"),
        postgres: include_str!("postgres/migrations/0009_reconciliation.sql"),
    },
    // Older programs would change investments without telling those who have a webhook.
    Migration {
        compatible_from: 10,
        sqlite: include_str!("sqlite/migrations/0010_webhooks.sql"),
        postgres: include_str!("postgres/migrations/0010_webhooks.sql"),
    },
];

/// What to do where the schema is older than the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Upkeep {
    /// Bring it up to date.
    Migrate,
    /// Refuse the database: somebody else migrates.
    Refuse,
    /// Take it as it is. For those who read what is there, whatever it is.
    Leave,
}

/// The version of a database's schema.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SchemaVersion {
    /// The newest migration that was made; 0 where none was.
    pub version: i64,
    /// The oldest program, by its own newest version, that works on it.
    pub compatible_from: i64,
}

impl SchemaVersion {
    /// The version of this program.
    #[must_use]
    pub fn of_program() -> i64 {
        length(MIGRATIONS)
    }

    /// The next migration that is to be made, as `upkeep` says; `None` where the schema can be used.
    ///
    /// # Errors
    /// The schema is too new for these migrations, or older and to be refused.
    pub(crate) fn next_step(self, migrations: &[Migration], upkeep: Upkeep) -> Result<Option<Migration>, StoreError> {
        let (Self { version, compatible_from }, own) = (self, length(migrations));
        if version > own {
            if compatible_from <= own {
                return Ok(None);
            }
            return Err(StoreError::Engine(format!(
                "the database has schema {version}, made by a newer program; it takes programs from schema {compatible_from} on, this \
                 one has schema {own}"
            )));
        }
        let next = usize::try_from(version).ok().and_then(|version| migrations.get(version)).copied();
        match (next, upkeep) {
            (None, Upkeep::Migrate | Upkeep::Refuse | Upkeep::Leave) | (Some(_), Upkeep::Leave) => Ok(None),
            (Some(next), Upkeep::Migrate) => Ok(Some(next)),
            (Some(_), Upkeep::Refuse) => Err(StoreError::Engine(format!(
                "the database has schema {version}, this program needs schema {own}: `scrip migrate` brings it up to date"
            ))),
        }
    }
}

fn length(migrations: &[Migration]) -> i64 {
    i64::try_from(migrations.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A further migration that expands, and that programs from `compatible_from` on can live with.
    pub(crate) fn with_further(compatible_from: i64) -> Vec<Migration> {
        let further = Migration {
            compatible_from,
            sqlite: "CREATE TABLE further (id INTEGER NOT NULL PRIMARY KEY) STRICT;
                ALTER TABLE setting ADD COLUMN further TEXT;",
            postgres: "CREATE TABLE further (id bigint NOT NULL PRIMARY KEY);
                ALTER TABLE setting ADD COLUMN further text;",
        };
        MIGRATIONS.iter().copied().chain([further]).collect()
    }

    /// The statements of a script: each ends at the end of a line, outside a quoted body and outside a trigger.
    pub(crate) fn statements(script: &str) -> Vec<String> {
        let (mut statements, mut statement, mut code) = (Vec::new(), String::new(), String::new());
        for line in script.lines() {
            statement.push_str(line);
            statement.push('\n');
            let line = line.split("--").next().unwrap_or_default().trim_end();
            code.push_str(line);
            code.push('\n');
            let is_open = code.matches("$$").count() % 2 == 1
                || (code.contains("\nBEGIN\n") && !code.contains("$$") && !code.contains("\nEND;"));
            if line.ends_with(';') && !is_open {
                statements.push(std::mem::take(&mut statement));
                code.clear();
            }
        }
        assert_eq!(code.trim(), "", "every statement ends with a line");
        statements
    }

    #[test]
    fn b16_a_program_uses_a_newer_schema_only_where_that_is_compatible() {
        let own = length(MIGRATIONS);
        for (version, compatible_from, is_used) in [
            (own, own, true),
            (own, 1, true),
            (own + 1, own, true),
            (own + 7, 1, true),
            (own + 1, own + 1, false),
            (own + 7, own + 2, false),
        ] {
            for upkeep in [Upkeep::Migrate, Upkeep::Refuse, Upkeep::Leave] {
                let step = SchemaVersion { version, compatible_from }.next_step(MIGRATIONS, upkeep);
                assert_eq!(step.is_ok(), is_used, "{version} from {compatible_from}");
                assert!(step.is_err() || matches!(step, Ok(None)), "nothing is left to do");
            }
        }
    }

    #[test]
    fn b16_what_is_older_is_migrated_refused_or_left_as_the_caller_says() {
        for version in 0..length(MIGRATIONS) {
            let found = SchemaVersion { version, compatible_from: version.min(1) };
            assert!(matches!(found.next_step(MIGRATIONS, Upkeep::Migrate), Ok(Some(_))));
            assert!(matches!(found.next_step(MIGRATIONS, Upkeep::Leave), Ok(None)));
            let refused = found.next_step(MIGRATIONS, Upkeep::Refuse).unwrap_err();
            assert!(refused.to_string().contains("scrip migrate"), "{refused}");
        }
    }

    #[test]
    fn b16_no_migration_asks_for_a_program_that_is_newer_than_itself() {
        for (version, migration) in (1..).zip(MIGRATIONS) {
            assert!((1..=version).contains(&migration.compatible_from), "migration {version}");
        }
    }
}
