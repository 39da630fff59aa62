//! Where options come from, that the reference is true, and that a wrong configuration does not start.

use std::fmt::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use cluster::{Cluster, Durability};
use server::command::CommandLine;

use crate::process::{self, Process, expect_failure, scrip};

/// The reference, written from the definitions of the command line.
fn reference() -> String {
    let definition = CommandLine::command();
    let mut text = String::from(HEAD);
    let names: Vec<String> = server::configuration::options(&definition).into_iter().map(|(name, _)| name).collect();
    let full = definition.get_subcommands().find(|command| command.get_name() == "sandbox").unwrap();
    for name in &names {
        let option = full.get_arguments().find(|option| option.get_long() == Some(name)).unwrap();
        let environment = option.get_env().map_or("none".to_owned(), |name| format!("`{}`", name.to_string_lossy()));
        let defaults: Vec<String> =
            option.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
        let default =
            if defaults.is_empty() || !option.get_action().takes_values() { "off".to_owned() } else { defaults.join(" ") };
        let commands = commands_with(&definition, name).join(", ");
        let help = option.get_help().unwrap().to_string();
        writeln!(text, "| `{name}` | {environment} | {default} | {commands} | {help} |").unwrap();
    }
    text
}

/// The commands that take an option.
fn commands_with(definition: &Command, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for command in definition.get_subcommands() {
        let is_in = |command: &Command| command.get_arguments().any(|option| option.get_long() == Some(name));
        if is_in(command) || command.get_subcommands().any(is_in) {
            found.push(command.get_name().to_owned());
        }
    }
    found
}

const HEAD: &str = "# Configuration

Written from the definitions of the command line by `SCRIP_WRITE_DOCS=1 cargo test -p server --test it configuration`; a test
compares it.

An option is taken from the command line (`--NAME VALUE`), else from its environment variable, else from the configuration
file, else it has its default. The file is named by `--config FILE` or `SCRIP_CONFIG`; it is TOML with the same names, without
sections:

```toml
data = \"/srv/scrip\"
listen = \"127.0.0.1:8080\"
metrics = \"127.0.0.1:9464\"
queue-commands-max = 1024
```

A name in the file that is no option, and a value that an option does not take, refuse the start with the name. What a command
does not take is passed over, so that one file serves all. `SCRIP_LOG` takes the levels of the log (docs/operating.md) and stands
in the environment only.

| option | environment | default | commands | meaning |
|---|---|---|---|---|
";

#[test]
fn the_reference_is_what_the_command_line_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    if std::env::var_os("SCRIP_WRITE_DOCS").is_some() {
        std::fs::write(&path, reference()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), reference());
}

/// Starts `scrip serve`, which is expected not to come up.
fn serve(data: &Path, options: &[&str], environment: &[(&str, &str)]) -> std::process::Output {
    let mut command = scrip(&["serve", "--data"]);
    command.arg(data).args(options).env("SCRIP_LOG", "error").envs(environment.iter().copied());
    if !options.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn o14_a_wrong_configuration_does_not_start_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let process = Process::start(folder.path(), &[]).await;
    process.terminate();
    assert!(process.ended().await.success());
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = occupied.local_addr().unwrap().to_string();
    for option in ["--listen", "--metrics", "--ledger-rpc"] {
        expect_failure(&serve(&data, &[option, &taken], &[]), &format!("{taken} cannot be listened on"));
    }
    let below_a_file = folder.path().join("file/data");
    std::fs::write(folder.path().join("file"), b"").unwrap();
    expect_failure(&serve(&below_a_file, &[], &[]), "file/data");
    for (options, words) in [
        (&["--metrics", "0.0.0.0:0"][..], "--metrics takes loopback addresses only, not 0.0.0.0:0"),
        (&["--ledger-rpc", "[::]:0"], "--ledger-rpc takes loopback addresses only, not [::]:0"),
        (&["--no-ledger"], "--no-ledger leaves the ledger to another server on the same --database"),
        (&["--database", "mysql://scrip@localhost/scrip"], "the database: "),
        (&["--database", "postgres://scrip@db.example/scrip"], "sslmode=require"),
        (&["--database", "postgres://scrip@127.0.0.1:1/scrip"], "the database: "),
        (&["--config", "/nowhere/scrip.toml"], "the configuration file /nowhere/scrip.toml"),
    ] {
        expect_failure(&serve(&data, options, &[]), words);
    }
    expect_failure(&serve(&data, &[], &[("SCRIP_LOG", "scrip=loud")]), "SCRIP_LOG");
    for (text, words) in [
        ("lisen = \"127.0.0.1:0\"", "`lisen`, which is no option"),
        ("metrics = [\"127.0.0.1:0\"]", "`metrics` a value"),
        ("metrics = \"10.0.0.1:9464\"", "--metrics takes loopback addresses only"),
        ("no-ledger = true", "--no-ledger leaves the ledger"),
        ("data", "is not TOML"),
    ] {
        let file = folder.path().join("scrip.toml");
        std::fs::write(&file, text).unwrap();
        expect_failure(&serve(&data, &["--config", file.to_str().unwrap()], &[]), words);
    }
    // A sandbox gives its clock and secrets to whoever reaches it.
    let exposed = process::run(&["sandbox", "--listen", "0.0.0.0:0"], &data);
    expect_failure(&exposed, "--expose-sandbox");
}

#[tokio::test(flavor = "multi_thread")]
async fn o14_a_root_key_that_is_missing_or_open_to_others_does_not_start() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let process = Process::start(folder.path(), &[]).await;
    process.terminate();
    assert!(process.ended().await.success());
    let key = data.join("root.key");
    for mode in [0o640, 0o604, 0o660] {
        std::fs::set_permissions(&key, PermissionsExt::from_mode(mode)).unwrap();
        expect_failure(&serve(&data, &[], &[]), "root.key is open to others than its owner");
    }
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    let kept = folder.path().join("kept.key");
    std::fs::rename(&key, &kept).unwrap();
    expect_failure(&serve(&data, &[], &[]), "root.key is missing, but the database was written with one");
    assert!(!key.exists(), "no other key is made in its place");
    std::fs::rename(&kept, &key).unwrap();
    let process = Process::start(folder.path(), &[]).await;
    process.terminate();
    assert!(process.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn o14_a_database_that_does_not_wait_for_its_disk_is_not_served_unless_it_is_accepted() {
    const ACCEPTED: &str = "SCRIP_ACCEPT_UNSYNCED_DATABASE";
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let cluster = Cluster::start(Durability::Unsynced).unwrap();
    let url = cluster.create_database("unsynced", None).unwrap();
    let options = ["--database", url.as_str()];
    let reason = "the database's server runs with fsync and full_page_writes switched off";
    expect_failure(&serve(&data, &options, &[(ACCEPTED, "false")]), reason);
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(cluster.execute("unsynced", tables).unwrap().trim(), "0", "the database was touched");
    // A sandbox is told of it only; what it settled is served where the operator says so.
    let sandbox = Process::start(folder.path(), &options).await;
    let settled = sandbox.handout.clone();
    sandbox.terminate();
    assert!(sandbox.ended().await.success());
    let log = std::fs::read_to_string(process::log_path(folder.path())).unwrap();
    assert!(log.contains("its server does not wait for the disk"), "{log}");
    let accepted = Process::serve(folder.path(), &settled, &[&options[..], &["--accept-unsynced-database"]].concat()).await;
    accepted.terminate();
    assert!(accepted.ended().await.success());
    // One of the two is enough.
    let synced = Cluster::start(Durability::Synced).unwrap();
    let url = synced.create_database("synced", None).unwrap();
    synced.execute("postgres", "ALTER SYSTEM SET full_page_writes = off").unwrap();
    synced.execute("postgres", "SELECT pg_reload_conf()").unwrap();
    let is_off = || synced.execute("postgres", "SHOW full_page_writes").unwrap().trim() == "off";
    assert!((0..1_000).any(|_look| is_off()), "the server does not take its settings up");
    let torn = serve(&folder.path().join("other"), &["--database", &url], &[(ACCEPTED, "false")]);
    expect_failure(&torn, "the database's server runs with full_page_writes switched off");
}

#[test]
fn a_wrong_value_is_refused_by_the_option_that_it_is_given_to() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scrip.toml");
    for (option, value) in [
        ("metrics", "9464"),
        ("rate-limit", "maybe"),
        ("finality-blocks", "-1"),
        ("queue-commands-max", "0"),
        ("calls-per-second", "0"),
        ("no-ledger", "perhaps"),
    ] {
        std::fs::write(&file, format!("{option} = \"{value}\"\n")).unwrap();
        let refused = serve(&folder.path().join("data"), &["--config", file.to_str().unwrap()], &[]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{option}: {said}");
        assert!(said.contains(&format!("--{option}")), "{said}");
    }
}

/// Each place names another address that is refused, so that the refusal says which one was taken.
#[test]
fn the_command_line_comes_before_the_environment_and_the_environment_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scrip.toml");
    std::fs::write(&file, "metrics = \"10.0.0.3:1\"\n").unwrap();
    let file = file.to_str().unwrap();
    let data = folder.path().join("data");
    let by_file = ["--config", file];
    let by_all = ["--config", file, "--metrics", "10.0.0.1:1"];
    let environment = [("SCRIP_METRICS", "10.0.0.2:1")];
    expect_failure(&serve(&data, &by_file, &[]), "not 10.0.0.3:1");
    expect_failure(&serve(&data, &[], &[("SCRIP_CONFIG", file)]), "not 10.0.0.3:1");
    expect_failure(&serve(&data, &by_file, &environment), "not 10.0.0.2:1");
    expect_failure(&serve(&data, &by_all, &environment), "not 10.0.0.1:1");
}
