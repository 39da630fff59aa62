//! A stopped sandbox whose files are changed behind its back.

use std::path::{Path, PathBuf};

use domain::ids::ProductId;
use domain::journal::{Entry, SubjectKey, state_mac};
use domain::product::Token;
use domain::state::Journaled;
use ledger::contract::{Item, Kind, execute_calldata, execute_gas_limit};
use ledger::embedded::{BASE_FEE_PER_GAS_WEI, TRANSACTION_GAS_LIMIT};
use ledger::transaction::{Fees, LocalSigner, Signer, Unsigned};
use ledger::{Address, At, Chain};
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::json;
use server::clock::Clock;
use server::entropy::Entropy;
use server::jobs::head;
use server::keyring::{KeyUse, Keyring};
use server::program::{Settings, open_ledger};
use server::verify::verify;
use store::queries::StoredEntry;
use store::sqlite::{DATABASE_FILE_NAME, Database};
use tempfile::TempDir;
use uuid::Uuid;

use crate::world::{GUIDE_DATE, World, merged};

/// A data folder with a bit of everything, and its head beside it.
pub struct Folder {
    pub data: PathBuf,
    pub product_id: ProductId,
    /// A delivered investment of ten units.
    pub investment_id: Uuid,
    _temporary: TempDir,
}

/// A value of the last row of a table that has one in this column: one more is free where numbers are given in turn.
pub struct Cell {
    table: String,
    column: String,
    /// The columns of the key, and the row's values in them.
    key: (Vec<String>, Vec<Value>),
    value: Value,
}

/// A row with all its values.
pub struct Row {
    table: String,
    values: Vec<Value>,
}

impl Folder {
    /// Two delivered investments, one that waits, and one that was cancelled.
    pub async fn settled() -> Self {
        Self::of(World::start_embedded().await, |_| {}).await
    }

    /// As above, with the head as it was half-way.
    pub async fn settled_with_older_head() -> (Self, Vec<u8>) {
        let mut older = Vec::new();
        let folder = Self::of(World::start_embedded().await, |data| {
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
            while older.is_empty() && std::time::Instant::now() < deadline {
                older = std::fs::read(head::default_path(data)).unwrap_or_default();
            }
        })
        .await;
        assert!(!older.is_empty());
        (folder, older)
    }

    /// As above, but the database is the copy that was taken half-way.
    pub async fn settled_with_older_copy() -> Self {
        let mut copy = Vec::new();
        let folder = Self::of(World::start_embedded().await, |data| {
            let path = data.join("copy.sqlite");
            Database::open(data).unwrap().copy_to(&path).unwrap();
            copy = std::fs::read(&path).unwrap();
            std::fs::remove_file(path).unwrap();
        })
        .await;
        for ending in ["-wal", "-shm", ""] {
            let _none = std::fs::remove_file(folder.data.join(format!("{DATABASE_FILE_NAME}{ending}")));
        }
        std::fs::write(folder.data.join(DATABASE_FILE_NAME), copy).unwrap();
        folder
    }

    /// Another folder with the same files.
    pub fn copy_of(other: &Self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        copy_files(&other.data, &data);
        std::fs::copy(other.head_path(), head::default_path(&data)).unwrap();
        Self { data, product_id: other.product_id, investment_id: other.investment_id, _temporary: folder }
    }

    pub fn head_path(&self) -> PathBuf {
        head::default_path(&self.data)
    }

    /// What `verify` finds. It must find something.
    pub async fn found(&self) -> String {
        match verify(&self.data, None).await {
            Ok(report) => format!("nothing: {report}"),
            Err(difference) => difference.to_string(),
        }
    }

    /// The database as somebody sees it who does not care for its guards.
    pub fn without_guards(&self) -> Connection {
        let connection = Connection::open(self.data.join(DATABASE_FILE_NAME)).unwrap();
        connection.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON").unwrap();
        for trigger in texts(&connection, "SELECT name FROM sqlite_schema WHERE type = 'trigger'") {
            connection.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
        }
        connection
    }

    pub fn newest_entry(&self) -> StoredEntry {
        let archive = Database::open(&self.data).unwrap().reader(1).unwrap();
        let length = archive.journal_head().unwrap().sequence;
        archive.journal_after(length - 1, 1).unwrap().remove(0)
    }

    /// Has the journal say what the rows of the investment and of the campaigns say now, with the instance's own keys.
    pub fn journal_again(&self, connection: &Connection) {
        let keyring = Keyring::open(&self.data.join("root.key"), &mut Entropy::from_seed([1; 32])).unwrap();
        let archive = Database::open(&self.data).unwrap().reader(1).unwrap();
        let investments = archive.all_investments(None, 100).unwrap();
        let investment = investments.iter().find(|row| row.id.uuid() == self.investment_id).unwrap();
        let subject = investment.investor_id;
        let subject_key = keyring.unwrap_key(subject, &archive.wrapped_keys(&[subject]).unwrap()[&subject]).unwrap();
        self.journal_row(connection, investment, &subject_key);
        for campaign in archive.all_campaigns(None, 100).unwrap() {
            self.journal_row(connection, &campaign, &keyring.journal_key());
        }
    }

    fn journal_row(&self, connection: &Connection, row: &impl Journaled, key: &SubjectKey) {
        let newest = self.newest_entry();
        let entry = Entry {
            sequence: newest.entry.sequence + 1,
            object: row.object(),
            subject: row.subject(),
            state_mac: state_mac(key, row.object(), &row.state()),
            previous_hash: newest.hash,
            ..newest.entry
        };
        append(connection, &entry);
    }

    /// Orders one unit with the registrar's own key, past the register.
    pub async fn order_behind_the_registers_back(&self, kind: Kind, id: Uuid) {
        let keyring = Keyring::open(&self.data.join("root.key"), &mut Entropy::from_seed([1; 32])).unwrap();
        let signer = LocalSigner::new(keyring.derive(KeyUse::EmbeddedLedger)).unwrap();
        let archive = Database::open(&self.data).unwrap().reader(1).unwrap();
        let Token::Deployed(token) = archive.product_any(self.product_id).unwrap().unwrap().token else { panic!() };
        let holders = archive.delivered_units_by_address(self.product_id).unwrap();
        let account = Address(holders.keys().next().unwrap().bytes());
        let settings = Settings { data: self.data.clone(), ..Settings::default() };
        let chain = open_ledger(&settings, &Clock::default(), &signer).unwrap();
        let units = u128::from(kind != Kind::Block);
        let items = [Item { kind, number: 1 << 62, id: id.into_bytes(), account, units, counterparty: Address::ZERO }];
        let unsigned = Unsigned {
            chain_id: chain.chain_id(),
            nonce: chain.nonce(signer.address(), At::Head).await.unwrap(),
            gas_limit: execute_gas_limit(&items, TRANSACTION_GAS_LIMIT).unwrap(),
            fees: Fees { max_fee_per_gas_wei: u128::from(BASE_FEE_PER_GAS_WEI), max_priority_fee_per_gas_wei: 0 },
            to: Some(Address(token.bytes())),
            value_wei: 0,
            data: execute_calldata(u64::MAX, &items).unwrap(),
        };
        let order = unsigned.sign(&signer).unwrap();
        chain.send(&order.raw).await.unwrap();
        while !chain.is_settled().unwrap() {
            chain.produce().unwrap();
        }
        assert!(chain.receipt(order.tx_hash).await.unwrap().unwrap().succeeded);
    }

    async fn of(world: World, half_way: impl FnOnce(&Path)) -> Self {
        let campaign = world.campaign(json!({})).await;
        let session = world.distributor().await;
        let facts = json!({
            "accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE, "wallet": world.handout.wallet_id,
            "signed_documents": world.signed_documents(&session).await,
        });
        let mut delivered = Vec::new();
        let mut half_way = Some(half_way);
        for units in [10, 20] {
            let id = world.investment(&campaign, merged(facts.clone(), json!({"units": units}))).await.expect(201).id();
            let credits = format!("/distributor/v2/investments/{id}/credits/");
            let credit = session.post_empty(&credits).await.expect(201).id();
            assert_eq!(session.ended_credit(&id, &credit).await["status"], "succeeded");
            if let Some(half_way) = half_way.take() {
                half_way(&world.folder.path().join("data"));
            }
            delivered.push(id);
        }
        world.investment(&campaign, json!({"units": 3})).await.expect(201);
        let cancelled = world.investment(&campaign, json!({"units": 4, "disagio": null})).await.expect(201).id();
        let path = format!("/distributor/v2/investments/{cancelled}/cancellation/");
        session.post(&path, &json!({"cancellation_date": GUIDE_DATE})).await.expect(200);
        let product_id = ProductId::new(world.handout.product_id);
        let folder = world.stop().await;
        let data = folder.path().join("data");
        Self { data, product_id, investment_id: delivered[0].parse().unwrap(), _temporary: folder }
    }
}

impl Cell {
    pub fn last(connection: &Connection, table: &str, column: &str) -> Option<Self> {
        let keys = key_columns(connection, table);
        let list = keys.join(", ");
        let order = keys.iter().map(|key| format!("{key} DESC")).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT {column}, {list} FROM {table} WHERE {column} IS NOT NULL ORDER BY {order} LIMIT 1");
        let mut statement = connection.prepare(&sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        let row = rows.next().unwrap()?;
        let value: Value = row.get(0).unwrap();
        let key: Vec<Value> = (1..=keys.len()).map(|index| row.get(index).unwrap()).collect();
        Some(Self { table: table.to_owned(), column: column.to_owned(), key: (keys, key), value })
    }

    pub fn change(&self, connection: &Connection) {
        self.set(connection, &self.key.1, &changed(&self.value));
    }

    pub fn restore(&self, connection: &Connection) {
        let (columns, mut key) = self.key.clone();
        for (column, value) in columns.iter().zip(&mut key) {
            if *column == self.column {
                *value = changed(&self.value);
            }
        }
        self.set(connection, &key, &self.value);
    }

    fn set(&self, connection: &Connection, key: &[Value], value: &Value) {
        let conditions: Vec<String> = self.key.0.iter().map(|column| format!("{column} = ?")).collect();
        let sql = format!("UPDATE {} SET {} = ? WHERE {}", self.table, self.column, conditions.join(" AND "));
        let values = std::iter::once(value).chain(key);
        assert_eq!(connection.execute(&sql, rusqlite::params_from_iter(values)).unwrap(), 1, "{}.{}", self.table, self.column);
    }
}

impl Row {
    /// Inserts the row as it was, or as another one with an id of its own.
    pub fn put_back(&self, connection: &Connection, as_another: bool) {
        let mut values = self.values.clone();
        if as_another {
            values[0] = Value::Blob(vec![0xff; 16]);
            for position in unique_columns(connection, &self.table) {
                values[position] = changed(&values[position]);
            }
        }
        let places = vec!["?"; values.len()].join(", ");
        let sql = format!("INSERT INTO {} VALUES ({places})", self.table);
        connection.execute(&sql, rusqlite::params_from_iter(values)).unwrap();
    }

    pub fn take_out(&self, connection: &Connection) {
        let sql = format!("DELETE FROM {} WHERE id = ?", self.table);
        assert_eq!(connection.execute(&sql, [vec![0xff_u8; 16]]).unwrap(), 1);
    }
}

pub fn copy_of_last_row(connection: &Connection, table: &str) -> Row {
    let sql = format!("SELECT * FROM {table} ORDER BY rowid DESC LIMIT 1");
    let mut statement = connection.prepare(&sql).unwrap();
    let count = statement.column_count();
    let values = statement.query_row([], |row| (0..count).map(|index| row.get(index)).collect()).unwrap();
    Row { table: table.to_owned(), values }
}

pub fn append(connection: &Connection, entry: &Entry) {
    let sql =
        "INSERT INTO journal (sequence, occurred_at, actor, act, object_kind, object_id, subject, state_mac, previous_hash, hash)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let (actor, subject) = (entry.actor.map(Uuid::into_bytes), entry.subject.map(Uuid::into_bytes));
    let object = (entry.object.kind.code(), entry.object.id.into_bytes());
    connection
        .execute(
            sql,
            rusqlite::params![
                i64::try_from(entry.sequence).unwrap(),
                entry.occurred_at.micros(),
                actor,
                entry.act,
                object.0,
                object.1,
                subject,
                entry.state_mac,
                entry.previous_hash,
                entry.hash()
            ],
        )
        .unwrap();
}

pub fn columns(connection: &Connection, table: &str) -> Vec<String> {
    texts(connection, &format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid"))
}

pub fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let found = statement.query_map([], |row| row.get(0)).unwrap();
    found.map(Result::unwrap).collect()
}

/// The positions of columns that must not be the same in two rows: the last one of every unique index.
fn unique_columns(connection: &Connection, table: &str) -> Vec<usize> {
    let sql = "SELECT max(info.cid) FROM pragma_index_list(?1) AS list, pragma_index_info(list.name) AS info
        WHERE list.\"unique\" AND list.origin <> 'pk' GROUP BY list.name";
    let mut statement = connection.prepare(sql).unwrap();
    let found = statement.query_map([table], |row| row.get::<_, i64>(0)).unwrap();
    found.map(|cid| usize::try_from(cid.unwrap()).unwrap()).collect()
}

fn key_columns(connection: &Connection, table: &str) -> Vec<String> {
    texts(connection, &format!("SELECT name FROM pragma_table_info('{table}') WHERE pk > 0 ORDER BY pk"))
}

/// One unit more, or another last byte.
fn changed(value: &Value) -> Value {
    match value {
        Value::Integer(number) => Value::Integer(number + 1),
        Value::Text(text) => Value::Text(format!("{}~", &text[..text.len() - 1])),
        Value::Blob(bytes) => {
            let mut bytes = bytes.clone();
            let last = bytes.last_mut().unwrap();
            *last = last.wrapping_add(1);
            Value::Blob(bytes)
        }
        Value::Null | Value::Real(_) => panic!("{value:?} is in no table"),
    }
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy_files(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
