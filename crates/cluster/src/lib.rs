//! Throw-away `PostgreSQL` clusters, for tests and measurements: made from the installed binaries in a temporary folder,
//! reached by a socket in it, and gone with the process that started them, however that process ends.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Where Debian and Ubuntu keep the binaries of each version.
const VERSIONS_FOLDER: &str = "/usr/lib/postgresql";
/// Who runs the server where the caller is root, which the server refuses.
const UNPRIVILEGED_USER: &str = "nobody";
/// The database user.
const USER: &str = "scrip";
/// How long the server may take to start, in steps of twenty milliseconds.
const START_STEPS: u32 = 1_500;

/// How long the last visitors of a database may take to leave, in steps of twenty milliseconds.
const PARTING_STEPS: u32 = 500;

/// Starts the server at each line on its own standard input, which ends with the process at the other end; then stops
/// the server at once and removes the folder.
const SUPERVISOR: &str = r#"
trap '' HUP INT TERM
folder=$1
shift
while read -r _line; do
  [ -z "$server" ] || wait "$server"
  "$@" >>"$folder/log" 2>&1 &
  server=$!
done
kill -QUIT "$server"
wait "$server"
rm -rf "$folder"
"#;

/// Whether what is committed must survive a crash of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Every commit is synced, as in production.
    Synced,
    /// Nothing is synced: for tests that crash no machine.
    Unsynced,
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterFault {
    /// The binaries are not installed.
    #[error("PostgreSQL is not installed below {VERSIONS_FOLDER}")]
    NotInstalled,
    /// A file or process.
    #[error("{0}: {1}")]
    Io(&'static str, io::Error),
    /// A command said no.
    #[error("{0}: {1}")]
    Failed(&'static str, String),
}

/// A running cluster. It ends when it is dropped, or with the process.
#[derive(Debug)]
pub struct Cluster {
    binaries: PathBuf,
    folder: PathBuf,
    data: PathBuf,
    supervisor: Child,
}

impl Cluster {
    /// Makes a cluster and starts its server.
    ///
    /// # Errors
    /// See [`ClusterFault`].
    pub fn start(durability: Durability) -> Result<Self, ClusterFault> {
        let folder = temporary_folder()?;
        let (data, log) = (folder.join("data"), folder.join("wal"));
        Self::start_at(folder, &data, &log, durability)
    }

    /// The same with the tables on a disk of its own, an empty folder; the log of writes stays elsewhere.
    ///
    /// # Errors
    /// See [`ClusterFault`].
    pub fn start_on(disk: &Path, durability: Durability) -> Result<Self, ClusterFault> {
        own(disk)?;
        let folder = temporary_folder()?;
        let log = folder.join("wal");
        Self::start_at(folder, &disk.join("data"), &log, durability)
    }

    /// The same with the log of writes on a disk of its own, an empty folder, in pieces of one mebibyte; the tables stay
    /// elsewhere.
    ///
    /// # Errors
    /// See [`ClusterFault`].
    pub fn start_with_log_on(disk: &Path, durability: Durability) -> Result<Self, ClusterFault> {
        own(disk)?;
        let folder = temporary_folder()?;
        let data = folder.join("data");
        Self::start_at(folder, &data, &disk.join("wal"), durability)
    }

    fn start_at(folder: PathBuf, data: &Path, log: &Path, durability: Durability) -> Result<Self, ClusterFault> {
        let binaries = newest_binaries()?;
        let user = unprivileged_user()?;
        let mut initdb = as_user(&binaries.join("initdb"), user);
        initdb.args(["--username", USER, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "--pgdata"]);
        initdb.arg(data).arg("--waldir").arg(log);
        if !log.starts_with(&folder) {
            initdb.arg("--wal-segsize=1");
        }
        run("initdb", &mut initdb)?;
        Self::launch(binaries, folder, data, durability)
    }

    /// A cluster that follows this one and can only be read.
    ///
    /// # Errors
    /// See [`ClusterFault`].
    pub fn standby(&self) -> Result<Self, ClusterFault> {
        let folder = temporary_folder()?;
        let data = folder.join("data");
        let mut copy = as_user(&self.binaries.join("pg_basebackup"), unprivileged_user()?);
        copy.arg("--host").arg(&self.folder).args(["--username", USER, "--checkpoint=fast", "--no-sync"]);
        run("pg_basebackup", copy.arg("--write-recovery-conf").arg("--pgdata").arg(&data))?;
        Self::launch(self.binaries.clone(), folder, &data, Durability::Unsynced)
    }

    fn launch(binaries: PathBuf, folder: PathBuf, data: &Path, durability: Durability) -> Result<Self, ClusterFault> {
        let mut server = as_user(&binaries.join("postgres"), unprivileged_user()?);
        server.arg("-D").arg(data).arg("-k").arg(&folder).args(["-h", "", "-c", "max_connections=300"]);
        server.args(["-c", "shared_buffers=128MB", "-c", "max_wal_size=4GB"]);
        // After a crash the folder is synced at once, not file by file.
        server.args(["-c", "recovery_init_sync_method=syncfs"]);
        if durability == Durability::Unsynced {
            server.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
        }
        let mut supervisor = Command::new("sh");
        supervisor.args(["-c", SUPERVISOR, "supervisor"]).arg(&folder).arg(server.get_program()).args(server.get_args());
        supervisor.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let supervisor = supervisor.spawn().map_err(|error| ClusterFault::Io("the server", error))?;
        let mut cluster = Self { binaries, folder, data: data.to_owned(), supervisor };
        cluster.restart()?;
        Ok(cluster)
    }

    /// Starts the server again after [`Cluster::kill`], and waits until it takes connections.
    ///
    /// # Errors
    /// The server does not start.
    pub fn restart(&mut self) -> Result<(), ClusterFault> {
        let supervisor = self.supervisor.stdin.as_mut().ok_or_else(|| gone("the supervisor"))?;
        supervisor.write_all(b"start\n").map_err(|error| ClusterFault::Io("the supervisor", error))?;
        self.await_start()
    }

    /// `kill -9` to the server and every process it started, as when the machine's power fails, and waits until all of
    /// them are gone. What was synced stays.
    ///
    /// # Errors
    /// The server does not run.
    pub fn kill(&self) -> Result<(), ClusterFault> {
        let note = std::fs::read_to_string(self.data.join("postmaster.pid"));
        let note = note.map_err(|error| ClusterFault::Io("the server's process id", error))?;
        let first = note.lines().next().ok_or_else(|| gone("the server's process id"))?;
        // The first of them first: it would start others in place of those that die.
        kill_all(&[first.to_owned()])?;
        for _step in 0..PARTING_STEPS {
            let left = self.processes()?;
            if left.is_empty() {
                return Ok(());
            }
            kill_all(&left)?;
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(ClusterFault::Failed("the server's processes do not end", self.processes()?.join(" ")))
    }

    /// Copies the files of a server that was killed to a new folder below its own, where another start may put them back.
    ///
    /// # Errors
    /// A file cannot be copied.
    pub fn copy_files(&self, name: &str) -> Result<(), ClusterFault> {
        let copy = self.folder.join(name);
        run("cp", Command::new("cp").arg("--archive").arg("--dereference").arg(&self.data).arg(copy)).map(drop)
    }

    /// Puts the files of an earlier copy in place of those of a server that was killed, as a standby would hold them that
    /// had not received what was committed since; then lets it take over (`pg_ctl promote`).
    ///
    /// # Errors
    /// A file cannot be copied; the server does not start or does not take over.
    pub fn fail_over_to_copy(&mut self, name: &str) -> Result<(), ClusterFault> {
        let lost = self.folder.join("lost");
        run("mv", Command::new("mv").arg(&self.data).arg(lost))?;
        run("cp", Command::new("cp").arg("--archive").arg(self.folder.join(name)).arg(&self.data))?;
        let signal = self.data.join("standby.signal");
        std::fs::write(&signal, "").map_err(|error| ClusterFault::Io("the standby's mark", error))?;
        own(&signal)?;
        self.restart()?;
        let mut promote = as_user(&self.binaries.join("pg_ctl"), unprivileged_user()?);
        run("pg_ctl", promote.arg("promote").arg("--pgdata").arg(&self.data)).map(drop)
    }

    /// The server's processes: all of them work in its folder, and nobody else does.
    fn processes(&self) -> Result<Vec<String>, ClusterFault> {
        let listed = std::fs::read_dir("/proc").map_err(|error| ClusterFault::Io("the processes", error))?;
        let names = listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let names = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        let works_here =
            |name: &String| std::fs::read_link(Path::new("/proc").join(name).join("cwd")).is_ok_and(|folder| folder == self.data);
        Ok(names.filter(works_here).collect())
    }

    /// A new database, empty or a copy of another one that nobody is connected to; its URL.
    ///
    /// # Errors
    /// The name is taken, or the other database is in use.
    pub fn create_database(&self, name: &str, template: Option<&str>) -> Result<String, ClusterFault> {
        let mut createdb = self.client("createdb");
        run("createdb", createdb.args(template.map(|template| format!("--template={template}"))).arg(name))?;
        Ok(self.url(name))
    }

    /// The URL of a database.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("postgres:///{name}?user={USER}&host={}", self.folder.display())
    }

    /// Executes SQL as an administrator with a shell would.
    ///
    /// # Errors
    /// What the server says.
    pub fn execute(&self, database: &str, sql: &str) -> Result<String, ClusterFault> {
        let mut psql = self.client("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
        run("psql", psql.args(["--dbname", database, "--command", sql]))
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.join(program));
        command.arg("--host").arg(&self.folder).args(["--username", USER]).stdin(Stdio::null());
        command
    }

    fn await_start(&self) -> Result<(), ClusterFault> {
        for _step in 0..START_STEPS {
            if run("pg_isready", self.client("pg_isready").args(["--timeout=1", "--dbname=postgres"])).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        Err(ClusterFault::Failed("the server does not start", log))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        // Nothing is left to do where it cannot be waited for.
        let _ = self.supervisor.wait();
    }
}

/// A new database in the cluster of this process, which starts with the first: a copy of one that `prepare` is given the
/// URL of once, while it is empty. Its name.
///
/// # Errors
/// See [`ClusterFault`]; what `prepare` says.
pub fn prepared_database(prepare: impl FnOnce(&str) -> Result<(), String>) -> Result<String, ClusterFault> {
    static IS_PREPARED: Mutex<bool> = Mutex::new(false);
    static NAMES: AtomicU64 = AtomicU64::new(1);
    const TEMPLATE: &str = "prepared";
    let cluster = shared()?;
    // One copy at a time: what is copied may have no visitors.
    let mut is_prepared = IS_PREPARED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*is_prepared {
        let url = cluster.create_database(TEMPLATE, None)?;
        prepare(&url).map_err(|reason| ClusterFault::Failed("the first database", reason))?;
        *is_prepared = true;
    }
    let name = format!("copy_{}", NAMES.fetch_add(1, Ordering::Relaxed));
    // The connections of whoever prepared it end a moment after they were dropped.
    for _step in 0..PARTING_STEPS {
        if cluster.create_database(&name, Some(TEMPLATE)).is_ok() {
            return Ok(name);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    cluster.create_database(&name, Some(TEMPLATE)).map(|_url| name)
}

/// The cluster of this process, whose commits are not synced.
///
/// # Errors
/// See [`ClusterFault`].
pub fn shared() -> Result<&'static Cluster, ClusterFault> {
    static SHARED: OnceLock<Result<Cluster, String>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| Cluster::start(Durability::Unsynced).map_err(|fault| fault.to_string()));
    shared.as_ref().map_err(|fault| ClusterFault::Failed("the cluster", fault.clone()))
}

fn gone(what: &'static str) -> ClusterFault {
    ClusterFault::Failed(what, "is gone".to_owned())
}

fn kill_all(processes: &[String]) -> Result<(), ClusterFault> {
    // One that has ended by itself meanwhile is no fault.
    let ended = Command::new("sh").args(["-c", r#"kill -KILL "$@" 2>/dev/null"#, "kill"]).args(processes).status();
    ended.map(drop).map_err(|error| ClusterFault::Io("kill", error))
}

/// A folder that the server may write to.
fn temporary_folder() -> Result<PathBuf, ClusterFault> {
    let temporary = tempfile::Builder::new().prefix("scrip-pg-").tempdir();
    let folder = temporary.map_err(|error| ClusterFault::Io("a temporary folder", error))?.keep();
    own(&folder)?;
    Ok(folder)
}

/// Gives a file or folder to whoever the server runs as.
fn own(path: &Path) -> Result<(), ClusterFault> {
    let Some((uid, gid)) = unprivileged_user()? else { return Ok(()) };
    std::os::unix::fs::chown(path, Some(uid), Some(gid)).map_err(|error| ClusterFault::Io("the owner of a file", error))
}

/// The binaries of the newest version that is installed.
fn newest_binaries() -> Result<PathBuf, ClusterFault> {
    let versions = std::fs::read_dir(VERSIONS_FOLDER).map_err(|_| ClusterFault::NotInstalled)?;
    let versions = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let mut versions: Vec<u32> = versions.collect();
    versions.sort_unstable();
    let mut binaries = versions.iter().rev().map(|version| Path::new(VERSIONS_FOLDER).join(version.to_string()).join("bin"));
    binaries.find(|folder| folder.join("initdb").exists()).ok_or(ClusterFault::NotInstalled)
}

/// The user and group to become; `None` where the caller is not root and stays who it is.
fn unprivileged_user() -> Result<Option<(u32, u32)>, ClusterFault> {
    let fault = |error| ClusterFault::Io("who runs this", error);
    let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").map_err(fault)?);
    if own != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").map_err(fault)?;
    let ids = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_wanted = fields.next() == Some(UNPRIVILEGED_USER);
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        is_wanted.then_some((uid, gid))
    });
    ids.map(Some).ok_or_else(|| ClusterFault::Failed("no user", UNPRIVILEGED_USER.to_owned()))
}

/// A command that runs as the unprivileged user.
fn as_user(program: &Path, user: Option<(u32, u32)>) -> Command {
    let Some((uid, gid)) = user else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}")).arg("--clear-groups").arg("--").arg(program);
    command
}

fn run(what: &'static str, command: &mut Command) -> Result<String, ClusterFault> {
    let output = command.current_dir("/").stdin(Stdio::null()).output().map_err(|error| ClusterFault::Io(what, error))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(ClusterFault::Failed(what, String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_answers_and_leaves_nothing_behind() {
        let cluster = Cluster::start(Durability::Synced).unwrap();
        let url = cluster.create_database("first", None).unwrap();
        assert!(url.starts_with("postgres:///first?"), "{url}");
        cluster.execute("first", "CREATE TABLE t (n integer); INSERT INTO t VALUES (7)").unwrap();
        cluster.create_database("second", Some("first")).unwrap();
        assert_eq!(cluster.execute("second", "SELECT n FROM t").unwrap().trim(), "7");
        assert_eq!(cluster.execute("second", "SHOW fsync").unwrap().trim(), "on");
        assert!(cluster.create_database("second", None).is_err(), "the name is taken");
        let folder = cluster.folder.clone();
        drop(cluster);
        assert!(!folder.exists());
    }

    #[test]
    fn a_killed_cluster_comes_back_with_what_was_committed_and_a_copy_with_what_was_committed_before() {
        let mut cluster = Cluster::start(Durability::Synced).unwrap();
        cluster.create_database("first", None).unwrap();
        let timeline = "SELECT timeline_id FROM pg_control_checkpoint()";
        cluster.execute("first", "CREATE TABLE t (n integer); INSERT INTO t VALUES (7)").unwrap();
        cluster.kill().unwrap();
        assert!(cluster.execute("first", "SELECT 1").is_err() && cluster.processes().unwrap().is_empty());
        cluster.copy_files("older").unwrap();
        cluster.restart().unwrap();
        cluster.execute("first", "INSERT INTO t VALUES (8)").unwrap();
        assert_eq!(cluster.execute("first", timeline).unwrap().trim(), "1");
        cluster.kill().unwrap();
        cluster.fail_over_to_copy("older").unwrap();
        assert_eq!(cluster.execute("first", "SELECT n FROM t").unwrap().trim(), "7");
        cluster.execute("first", "CHECKPOINT; INSERT INTO t VALUES (9)").unwrap();
        assert_eq!(cluster.execute("first", timeline).unwrap().trim(), "2");
    }
}
