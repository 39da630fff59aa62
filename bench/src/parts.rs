//! The parts of a run. Each is measured in one go of a few minutes, with everything that it is compared with; a kept part is
//! not measured again, so that a run can be made in pieces.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::findings::{Commit, FORM, Setting};

/// A part.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub enum PartName {
    /// The echo, and every load on the embedded database.
    Embedded,
    /// The echo, one transaction per request, every load on `PostgreSQL`, and two servers on one database.
    Postgres,
    /// Few and many investments on the embedded database.
    EmbeddedSize,
    /// Few and many investments on `PostgreSQL`.
    PostgresSize,
    /// A bare loop of prepared batches on a real node, and Scrip's credits through it.
    Anvil,
}

/// Where parts are kept until all are there.
#[derive(Debug)]
pub struct Kept {
    folder: PathBuf,
    stamp: Stamp,
}

/// What parts must have in common to stand in one result.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Stamp {
    form: u32,
    commit: String,
    is_dirty: bool,
    is_quick: bool,
    load_s: u64,
    scrip_version: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Stamped<T> {
    stamp: Stamp,
    part: T,
}

impl PartName {
    /// Every part.
    pub const ALL: [Self; 5] = [Self::Embedded, Self::Postgres, Self::EmbeddedSize, Self::PostgresSize, Self::Anvil];

    const fn file_name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded.json",
            Self::Postgres => "postgres.json",
            Self::EmbeddedSize => "embedded-size.json",
            Self::PostgresSize => "postgres-size.json",
            Self::Anvil => "anvil.json",
        }
    }
}

impl Kept {
    /// Parts of one commit and one setting, in a folder.
    pub fn new(folder: &Path, commit: &Commit, setting: &Setting) -> Result<Self, Failure> {
        std::fs::create_dir_all(folder)?;
        let stamp = Stamp {
            form: FORM,
            commit: commit.id.clone(),
            is_dirty: commit.is_dirty,
            is_quick: setting.is_quick,
            load_s: setting.load_s,
            scrip_version: setting.scrip_version.clone(),
        };
        Ok(Self { folder: folder.to_owned(), stamp })
    }

    /// A part that was measured before; `None` where it was not, or under another stamp.
    pub fn find<T: DeserializeOwned>(&self, name: PartName) -> Result<Option<T>, Failure> {
        let Ok(text) = std::fs::read(self.folder.join(name.file_name())) else { return Ok(None) };
        let value: Stamped<serde_json::Value> = serde_json::from_slice(&text)?;
        if value.stamp != self.stamp {
            return Ok(None);
        }
        Ok(Some(serde_json::from_value(value.part)?))
    }

    /// Keeps a part.
    pub fn keep<T: Serialize>(&self, name: PartName, part: &T) -> Result<(), Failure> {
        let stamped = Stamped { stamp: self.stamp.clone(), part };
        std::fs::write(self.folder.join(name.file_name()), serde_json::to_string_pretty(&stamped)?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_another_commit_is_measured_again() {
        let folder = tempfile::tempdir().unwrap();
        let commit = |id: &str| Commit { id: id.to_owned(), is_dirty: false, date: "2025-01-02".to_owned() };
        let setting = Setting {
            load_generator: String::new(),
            is_harness_release: true,
            scrip_profile: "release".to_owned(),
            scrip_version: "scrip 0.1.0".to_owned(),
            is_quick: false,
            load_s: 10,
        };
        let kept = Kept::new(folder.path(), &commit("a"), &setting).unwrap();
        assert_eq!(kept.find::<u64>(PartName::Embedded).unwrap(), None);
        kept.keep(PartName::Embedded, &7).unwrap();
        assert_eq!(kept.find::<u64>(PartName::Embedded).unwrap(), Some(7));
        assert_eq!(kept.find::<u64>(PartName::Postgres).unwrap(), None);
        let other = Kept::new(folder.path(), &commit("b"), &setting).unwrap();
        assert_eq!(other.find::<u64>(PartName::Embedded).unwrap(), None);
    }
}
