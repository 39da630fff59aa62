//! Dumps: the same state gives the same bytes on either engine, either takes them, and what does not fit is refused.

use std::io::{self, Read};

use super::guards::entry;
use super::market::*;
use super::{DAY, Engine, Store, id, postgres_database};
use crate::dump::{DumpFault, DumpSource, DumpTarget, Dumped, EmptyDatabase};
use crate::record::{Answer, AnswerKey};
use crate::schema::SchemaVersion;
use crate::{Database, Place};

const NOTE: (&str, &[u8]) = ("restored", b"from memory");

/// Tables with their bytes.
type Tables = Vec<(String, Vec<u8>)>;

/// A dump in memory.
#[derive(Clone, Default, PartialEq, Eq)]
struct Memory {
    tables: Tables,
    rows: u64,
}

impl DumpTarget for Memory {
    fn begin(&mut self, table: &str) -> io::Result<()> {
        self.tables.push((table.to_owned(), Vec::new()));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tables.last_mut().unwrap().1.extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self, rows: u64) -> io::Result<()> {
        self.rows += rows;
        Ok(())
    }
}

impl DumpSource for Memory {
    fn tables(&self) -> Vec<String> {
        self.tables.iter().map(|(name, _)| name.clone()).collect()
    }

    fn open(&mut self, table: &str) -> io::Result<Box<dyn Read + '_>> {
        let found = self.tables.iter().find(|(name, _)| name == table).unwrap();
        Ok(Box::new(found.1.as_slice()))
    }
}

impl Memory {
    /// Both dumps without the note that a load leaves.
    fn without_note(&self) -> Vec<&(String, Vec<u8>)> {
        self.tables.iter().filter(|(name, _)| name != "setting").collect()
    }

    fn of(database: &Database) -> (Self, Dumped) {
        let mut memory = Self::default();
        let dumped = database.dump(&mut memory).unwrap();
        assert_eq!(dumped.rows, memory.rows);
        (memory, dumped)
    }
}

fn database_of(store: &Store) -> Database {
    match &store.engine {
        Engine::Sqlite { database, .. } => Database::Sqlite(database.clone()),
        Engine::Postgres { database, .. } => Database::Postgres(database.clone()),
    }
}

/// A market with everything that a batch can add.
fn fill(mut store: Store) -> Store {
    store.settle_market();
    let key = |text: &str| AnswerKey { organisation_id: id(1), client_id: id(2), key: text.to_owned() };
    let answer = Answer { fingerprint: [3; 32], status: 201, is_problem: false, body: vec![4; 300_000], subject: Some(id(5)) };
    let keys = ["b", "A", "a", "Ä"].map(key);
    store
        .put(|book, record| {
            (0..50).for_each(|n| book.investments.put(id(1_000 + n), investment(1_000 + n)));
            record.persons.push((id(INVESTOR), vec![0, 255, 7]));
            let first = entry(1, [0; 32]);
            record.journal = vec![first.clone(), entry(2, first.hash())];
            record.answers = keys.into_iter().map(|key| (key, answer.clone())).collect();
        })
        .unwrap();
    store
}

fn empty_place(is_server: bool) -> (Place, Option<tempfile::TempDir>) {
    if is_server {
        let (name, _) = postgres_database();
        let url = cluster::shared().unwrap().create_database(&format!("empty_for_{name}"), None).unwrap();
        return (Place::Server(url), None);
    }
    let folder = tempfile::tempdir().unwrap();
    (Place::Folder(folder.path().to_owned()), Some(folder))
}

#[test]
fn b18_the_same_state_is_the_same_dump_on_either_engine_and_either_takes_it() {
    let (embedded, server) = (fill(Store::on_sqlite()), fill(Store::on_postgres()));
    let (dump, dumped) = Memory::of(&database_of(&embedded));
    let (other, other_dumped) = Memory::of(&database_of(&server));
    assert_eq!(dump.tables(), other.tables());
    for ((table, bytes), (_, other)) in dump.tables.iter().zip(&other.tables) {
        assert!(bytes == other, "{table} differs");
    }
    assert_eq!(dumped, other_dumped);
    assert!(dump.tables().contains(&format!("answer_{DAY}")) && dump.tables().contains(&format!("batch_{DAY}")));
    for is_server in [false, true] {
        let (place, _folder) = empty_place(is_server);
        let loaded = EmptyDatabase::open(&place).unwrap().load(dumped.schema, &mut dump.clone(), NOTE).unwrap();
        assert_eq!(loaded, dumped.rows);
        let database = Database::open(&place).unwrap();
        let (again, again_dumped) = Memory::of(&database);
        assert!(again.without_note() == dump.without_note(), "server: {is_server}");
        assert_eq!((again_dumped.head, again_dumped.signers), (dumped.head, dumped.signers.clone()));
        let reader = database.reader(1).unwrap();
        assert_eq!(reader.setting(NOTE.0).unwrap().as_deref(), Some(NOTE.1));
        assert_eq!(reader.integrity_check().unwrap(), Vec::<String>::new());
        assert_eq!(reader.all_investments(None, 100).unwrap(), embedded.reader.all_investments(None, 100).unwrap());
    }
}

#[test]
fn b18_what_guards_the_rows_guards_them_after_a_load() {
    let source = fill(Store::on_sqlite());
    let (mut dump, dumped) = Memory::of(&database_of(&source));
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Folder(folder.path().to_owned());
    EmptyDatabase::open(&place).unwrap().load(dumped.schema, &mut dump, NOTE).unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("scrip.sqlite")).unwrap();
    connection.pragma_update(None, "foreign_keys", true).unwrap();
    let name = "guarded_after_a_load";
    let url = cluster::shared().unwrap().create_database(name, None).unwrap();
    EmptyDatabase::open(&Place::Server(url)).unwrap().load(dumped.schema, &mut dump, NOTE).unwrap();
    for sql in [
        "UPDATE journal SET act = 'another'",
        "DELETE FROM journal",
        "INSERT INTO journal SELECT * FROM journal ORDER BY sequence LIMIT 1",
        "DELETE FROM organisation",
        "UPDATE campaign SET used = allocation + 1",
    ] {
        assert!(connection.execute_batch(sql).is_err(), "embedded: {sql}");
        assert!(cluster::shared().unwrap().execute(name, sql).is_err(), "server: {sql}");
    }
}

#[test]
fn b18_a_dump_that_does_not_fit_is_refused_and_nothing_is_stored() {
    let source = fill(Store::on_sqlite());
    let (dump, dumped) = Memory::of(&database_of(&source));
    let changed = |change: &dyn Fn(&mut Tables)| {
        let mut changed = dump.clone();
        change(&mut changed.tables);
        changed
    };
    let unknown_table = changed(&|tables| tables.push(("unheard_of".to_owned(), tables[0].1.clone())));
    let unknown_column = changed(&|tables| {
        let text = tables.iter_mut().find(|(name, _)| name == "setting").unwrap();
        text.1 = [&2_u32.to_be_bytes()[..], &4_u32.to_be_bytes(), b"name", &5_u32.to_be_bytes(), b"worth"].concat();
    });
    let no_organisations = changed(&|tables| tables.retain(|(name, _)| name != "organisation"));
    let cut = changed(&|tables| {
        let investments = tables.iter_mut().find(|(name, _)| name == "investment").unwrap();
        investments.1.pop();
    });
    for is_server in [false, true] {
        let refusal = |mut dump: Memory, schema: i64| {
            let (place, _folder) = empty_place(is_server);
            let refused = EmptyDatabase::open(&place).unwrap().load(schema, &mut dump, NOTE).unwrap_err();
            assert!(EmptyDatabase::open(&place).is_ok(), "something was stored");
            refused
        };
        let refused = refusal(unknown_table.clone(), dumped.schema);
        assert!(matches!(&refused, DumpFault::Unknown(what) if what.contains("unheard_of")), "{refused}");
        let refused = refusal(unknown_column.clone(), dumped.schema);
        assert!(matches!(&refused, DumpFault::Unknown(what) if what.contains("worth")), "{refused}");
        let refused = refusal(no_organisations.clone(), dumped.schema);
        assert!(matches!(&refused, DumpFault::Reference(_)), "{refused}");
        assert!(matches!(refusal(cut.clone(), dumped.schema), DumpFault::Io(_)));
        let newer = SchemaVersion::of_program() + 1;
        assert!(matches!(refusal(dump.clone(), newer), DumpFault::Newer { .. }));
        let filled = if is_server { Store::on_postgres() } else { Store::on_sqlite() };
        let place = match &filled.engine {
            Engine::Sqlite { folder, .. } => Place::Folder(folder.path().to_owned()),
            Engine::Postgres { name, .. } => Place::Server(cluster::shared().unwrap().url(name)),
        };
        assert!(matches!(EmptyDatabase::open(&place), Err(DumpFault::NotEmpty(_))));
    }
}

/// A server's writer drops the tables of a day that is over; a dump that goes on for long does not keep it from that.
#[test]
fn b18_a_dump_lets_go_of_the_tables_of_a_day() {
    struct Dropping<'a>(&'a mut Store, bool);
    impl DumpTarget for Dropping<'_> {
        fn begin(&mut self, table: &str) -> io::Result<()> {
            if table == "wallet" {
                self.0.put(|_, record| record.day = DAY + 2).unwrap();
                self.1 = true;
            }
            Ok(())
        }

        fn write(&mut self, _bytes: &[u8]) -> io::Result<()> {
            Ok(())
        }

        fn end(&mut self, _rows: u64) -> io::Result<()> {
            Ok(())
        }
    }
    let mut store = fill(Store::new());
    let database = database_of(&store);
    let mut dropping = Dropping(&mut store, false);
    database.dump(&mut dropping).unwrap();
    assert!(dropping.1);
    assert_eq!(store.days(crate::day::Kind::Batch), [DAY + 2], "the days before were dropped meanwhile");
}
