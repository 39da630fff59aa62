//! Who runs the throw-away database: `initdb` refuses root.

use std::os::unix::fs::MetadataExt;

use crate::Failure;

/// Accounts that are taken, in this order, where the harness runs as root.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// User and group of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

impl Account {
    /// An unprivileged account where the harness runs as root; `None` where its own will do.
    pub fn unprivileged() -> Result<Option<Self>, Failure> {
        if std::fs::metadata("/proc/self")?.uid() != 0 {
            return Ok(None);
        }
        let accounts = std::fs::read_to_string("/etc/passwd")?;
        let found = UNPRIVILEGED.iter().find_map(|name| Self::named(&accounts, name));
        found.map(Some).ok_or_else(|| "no unprivileged account was found for PostgreSQL".into())
    }

    fn named(accounts: &str, name: &str) -> Option<Self> {
        let mut fields = accounts.lines().map(|line| line.split(':')).find(|line| line.clone().next() == Some(name))?.skip(2);
        Some(Self { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_name() {
        let accounts = "root:x:0:0::/:/bin/sh\npostgres:x:101:104:a,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(Account::named(accounts, "postgres"), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(Account::named(accounts, "nobody"), None);
    }
}
