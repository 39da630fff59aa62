//! Where the server is, and how connections to it are made.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::{not_connected, of_table, unreachable};
use super::migrations::{keep_up, version_of};
use super::runtime::EngineRuntime;
use super::sessions::Sessions;
use super::writer::PostgresWriter;
use crate::counts::StoreCounts;
use crate::error::StoreError;
use crate::reader::Reader;
use crate::schema::{MIGRATIONS, Migration, SchemaVersion, Upkeep};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long sent bytes may stay unacknowledged before the connection counts as lost.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What a writer's session is told. Every look-up of the desk goes by an index; a planner that saw the tables while they
/// were small must not come to another opinion. Whoever waits longer for a lock or an answer gives up and is told so.
const WRITER_OPTIONS: &str = "-c lock_timeout=5s -c statement_timeout=30s -c idle_in_transaction_session_timeout=60s \
    -c synchronous_commit=on -c plan_cache_mode=force_generic_plan -c jit=off \
    -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off";
/// What a reader's session is told.
const READER_OPTIONS: &str = "-c default_transaction_read_only=on -c statement_timeout=10s \
    -c idle_in_transaction_session_timeout=60s -c plan_cache_mode=force_generic_plan -c jit=off";
/// What a session that migrates is told: a migration takes as long as it takes.
const MIGRATION_OPTIONS: &str = "-c lock_timeout=60s -c statement_timeout=0";

/// A `PostgreSQL` database that was reached and has the schema of this program.
#[derive(Clone)]
pub struct Database {
    config: Arc<Config>,
    runtime: Arc<EngineRuntime>,
    counts: Arc<StoreCounts>,
}

impl fmt::Debug for Database {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("hosts", &self.config.get_hosts()).finish_non_exhaustive()
    }
}

impl Database {
    /// Connects to the database that a URL names (`postgres://USER:PASSWORD@HOST/DATABASE?sslmode=require`, or
    /// `postgres:///DATABASE?host=/path/of/the/socket`) and brings its schema up to date.
    ///
    /// With `sslmode=require` the connection is encrypted and the server's certificate checked against the machine's
    /// roots (or those of `SSL_CERT_FILE`). Sockets of this machine and `sslmode=disable` go without.
    ///
    /// # Errors
    /// The URL cannot be read, names another machine without saying whether to encrypt, the server cannot be reached, or
    /// its schema is newer than this program.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, Upkeep::Migrate)
    }

    /// The same, with a schema that is brought up to date, refused or left.
    ///
    /// # Errors
    /// As [`Self::open`]; the schema is older and to be refused.
    pub fn open_with(url: &str, upkeep: Upkeep) -> Result<Self, StoreError> {
        Self::open_by(url, MIGRATIONS, upkeep)
    }

    /// The same, by these migrations.
    pub(super) fn open_by(url: &str, migrations: &'static [Migration], upkeep: Upkeep) -> Result<Self, StoreError> {
        let database = Self::reach(url)?;
        let connection = database.connect_for_migration()?;
        database.runtime.wait(async move {
            require_writable(&connection).await?;
            keep_up(connection, migrations, upkeep).await
        })?;
        Ok(database)
    }

    /// The settings by which the server answers a commit before its bytes are safe, or can be left with torn pages by a
    /// crash; empty where what is acknowledged is durable. (`synchronous_commit` is not asked: every writer switches it on.)
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn unsynced_settings(url: &str) -> Result<Vec<String>, StoreError> {
        let database = Self::reach(url)?;
        let connection = database.connect_for_migration()?;
        let asked = "SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off' ORDER BY name";
        database.runtime.wait(async move {
            let rows = connection.query(asked, &[]).await.map_err(|error| of_table("pg_settings", &error))?;
            rows.iter().map(|row| row.try_get(0).map_err(|error| of_table("pg_settings", &error))).collect()
        })
    }

    /// A database whatever its schema is.
    pub(super) fn reach(url: &str) -> Result<Self, StoreError> {
        let mut config: Config = url.parse().map_err(|error| StoreError::Engine(format!("the database's URL: {error}")))?;
        settle_encryption(&mut config)?;
        config.application_name("scrip").connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(SILENCE_MAX);
        config.keepalives_idle(SILENCE_MAX);
        Ok(Self { config: Arc::new(config), runtime: Arc::new(EngineRuntime::start()?), counts: Arc::default() })
    }

    /// A connection of its own that may take its time.
    pub(super) fn connect_for_migration(&self) -> Result<Connection, StoreError> {
        let connector = self.connector(MIGRATION_OPTIONS)?;
        self.runtime.wait(async move { connector.connect().await })
    }

    /// What waits for the server.
    pub(super) fn runtime(&self) -> &EngineRuntime {
        &self.runtime
    }

    /// The version of its schema.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn schema_version(&self) -> Result<SchemaVersion, StoreError> {
        let connection = self.connect_for_migration()?;
        self.runtime.wait(async move { version_of(&connection).await })
    }

    /// A writer with a connection of its own. It connects when it is first used, and again whenever the connection is
    /// lost.
    ///
    /// # Errors
    /// The machine's certificates cannot be read.
    pub fn writer(&self) -> Result<PostgresWriter, StoreError> {
        Ok(PostgresWriter::new(self.connector(WRITER_OPTIONS)?, self.runtime.clone(), self.counts.clone()))
    }

    /// A reader with so many connections, at least one.
    ///
    /// # Errors
    /// The machine's certificates cannot be read.
    pub fn reader(&self, connections: usize) -> Result<Reader, StoreError> {
        let connector = self.connector(READER_OPTIONS)?;
        Ok(Reader::of_postgres(Sessions::new(&connector, connections.max(1))?))
    }

    /// A reader of the state as it is now, which stays as it is however long it is read.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn frozen_reader(&self) -> Result<Reader, StoreError> {
        Ok(Reader::of_postgres(Sessions::frozen(self.connector(READER_OPTIONS)?)?))
    }

    fn connector(&self, options: &str) -> Result<Connector, StoreError> {
        let mut config = (*self.config).clone();
        let options = config.get_options().map_or_else(|| options.to_owned(), |own| format!("{own} {options}"));
        config.options(options);
        let encryption = if config.get_ssl_mode() == SslMode::Require { Some(encryption()?) } else { None };
        Ok(Connector { config, encryption, counts: self.counts.clone() })
    }
}

/// A connection, with the statements that were prepared on it. It ends when it is dropped.
pub(super) type Connection = deadpool_postgres::ClientWrapper;

/// Makes connections of one kind.
#[derive(Clone)]
pub(super) struct Connector {
    config: Config,
    encryption: Option<MakeRustlsConnect>,
    counts: Arc<StoreCounts>,
}

impl Connector {
    /// What the engine counts of itself.
    pub(super) const fn counts(&self) -> &Arc<StoreCounts> {
        &self.counts
    }

    /// A new connection, which is driven by the runtime that this runs on.
    pub(super) async fn connect(&self) -> Result<Connection, StoreError> {
        let connected = async {
            match &self.encryption {
                Some(encryption) => connect(&self.config, encryption.clone()).await,
                None => connect(&self.config, NoTls).await,
            }
        };
        let checked = async {
            let connection = connected.await?;
            refuse_standby(&connection).await?;
            self.counts.connection_opened();
            Ok(connection)
        };
        let checked = tokio::time::timeout(CONNECT_TIMEOUT, checked).await;
        checked.unwrap_or_else(|_| Err(unreachable("a connection took too long to be made")))
    }
}

/// Asked of every connection that is made, also after a failover: a decision on what a standby shows would be a decision
/// on the past.
async fn refuse_standby(connection: &Connection) -> Result<(), StoreError> {
    let asked = connection.query_one("SELECT pg_is_in_recovery()", &[]).await;
    if asked.and_then(|row| row.try_get(0)).map_err(|error| not_connected(&error))? {
        return Err(unreachable("the server is a standby: the database's URL must name the primary"));
    }
    Ok(())
}

async fn require_writable(connection: &Connection) -> Result<(), StoreError> {
    let asked = connection.query_one("SELECT current_setting('transaction_read_only') = 'on'", &[]).await;
    if asked.and_then(|row| row.try_get(0)).map_err(|error| of_table("database", &error))? {
        return Err(StoreError::Engine("it takes no writes (transaction_read_only is on)".to_owned()));
    }
    Ok(())
}

async fn connect<T>(config: &Config, encryption: T) -> Result<Connection, StoreError>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
    T::TlsConnect: TlsConnect<Socket, Stream = T::Stream>,
{
    let (client, connection) = config.connect(encryption).await.map_err(|error| not_connected(&error))?;
    let driven = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the database was lost");
        }
    });
    Ok(Connection::new(client, driven))
}

/// Neither silently in the clear across a network, nor a certificate asked of this machine's own server.
fn settle_encryption(config: &mut Config) -> Result<(), StoreError> {
    let is_local = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback()),
        Host::Unix(_) => true,
    });
    if [SslMode::Require, SslMode::Disable].contains(&config.get_ssl_mode()) {
        return Ok(());
    }
    if !is_local {
        let reason = "the database's URL names another machine: it must say sslmode=require";
        return Err(StoreError::Engine(reason.to_owned()));
    }
    config.ssl_mode(SslMode::Disable);
    Ok(())
}

fn encryption() -> Result<MakeRustlsConnect, StoreError> {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(unreachable("no root certificates were found on this machine"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(|error| StoreError::Engine(error.to_string()))?;
    Ok(MakeRustlsConnect::new(versions.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(url: &str) -> Result<SslMode, StoreError> {
        let mut config: Config = url.parse().unwrap();
        settle_encryption(&mut config).map(|()| config.get_ssl_mode())
    }

    #[test]
    fn other_machines_are_asked_for_encryption() {
        for (url, expected) in [
            ("postgres://scrip@db.example/scrip?sslmode=require", Some(SslMode::Require)),
            ("postgres://scrip@db.example/scrip?sslmode=disable", Some(SslMode::Disable)),
            ("postgres://scrip@127.0.0.1:5433/scrip", Some(SslMode::Disable)),
            ("postgres://scrip@localhost/scrip", Some(SslMode::Disable)),
            ("postgres://scrip@localhost/scrip?sslmode=require", Some(SslMode::Require)),
            ("postgres:///scrip?host=/run/postgresql", Some(SslMode::Disable)),
            ("postgres://scrip@db.example/scrip", None),
            ("postgres://scrip@db.example/scrip?sslmode=prefer", None),
        ] {
            assert_eq!(settled(url).ok(), expected, "{url}");
        }
    }

    #[test]
    fn encryption_has_roots_to_trust() {
        assert!(encryption().is_ok());
    }
}
