//! A folder that holds a seeded register: `data`, with `PostgreSQL` also `cluster`, and what the measurements need to know of
//! it in `seed.json`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::cluster::Cluster;
use crate::sandbox::Place;

/// The version of the manifest's form.
pub const FORM: u32 = 1;
/// The database in the cluster.
pub const DATABASE: &str = "scrip";

const MANIFEST: &str = "seed.json";
const DATA: &str = "data";
const CLUSTER: &str = "cluster";

/// What holds a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineName {
    /// The embedded database.
    Embedded,
    /// A `PostgreSQL` cluster of its own.
    Postgres,
}

/// What a seeded register holds, as far as the measurements need to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// See [`FORM`].
    pub form: u32,
    /// What holds it.
    pub engine: EngineName,
    /// Investments.
    pub investments: u64,
    /// Investors.
    pub investors: u64,
    /// A product with room for the campaigns of measurements.
    pub product_id: String,
    /// Campaigns of the sandbox's platform.
    pub campaign_ids: Vec<String>,
    /// Some of the platform's identified investors, from the oldest to the newest.
    pub investor_ids: Vec<String>,
    /// A wallet of each of them.
    pub wallet_ids: Vec<String>,
}

/// A seeded folder.
#[derive(Clone, Debug)]
pub struct Seeded {
    folder: PathBuf,
    engine: EngineName,
}

/// A seeded register whose database answers.
#[derive(Debug)]
pub struct Opened {
    /// The data folder, and the database where it is not in it.
    pub place: Place,
    /// The cluster; `None` for the embedded engine.
    pub cluster: Option<Cluster>,
}

impl Seeded {
    /// Makes a new folder.
    pub fn make(folder: &Path, engine: EngineName) -> Result<Self, Failure> {
        std::fs::create_dir_all(folder)?;
        if std::fs::read_dir(folder)?.next().is_some() {
            return Err(format!("{} is not empty", folder.display()).into());
        }
        // The cluster's account has to pass through it to its own folder.
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711))?;
        Ok(Self { folder: folder.canonicalize()?, engine })
    }

    /// Reads every file once, so that loads find in the machine's memory what a database that has served for a while keeps
    /// there; gives the bytes. Straight from a disk, the first minutes of a load measure the disk.
    pub fn read_once(&self) -> Result<u64, Failure> {
        let (mut folders, mut read_bytes) = (vec![self.folder.clone()], 0);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    read_bytes += std::io::copy(&mut std::fs::File::open(entry.path())?, &mut std::io::sink())?;
                }
            }
        }
        Ok(read_bytes)
    }

    /// A folder that was seeded before.
    pub fn find(folder: &Path, engine: EngineName) -> Result<(Self, Manifest), Failure> {
        let path = folder.join(MANIFEST);
        let text = std::fs::read(&path).map_err(|error| format!("{}: {error} (bench seed makes it)", path.display()))?;
        let manifest: Manifest = serde_json::from_slice(&text)?;
        if manifest.form != FORM || manifest.engine != engine {
            return Err(format!("{}: not a register of this form and engine", path.display()).into());
        }
        Ok((Self { folder: folder.canonicalize()?, engine }, manifest))
    }

    /// Writes the manifest.
    pub fn write(&self, manifest: &Manifest) -> Result<(), Failure> {
        std::fs::write(self.folder.join(MANIFEST), serde_json::to_string_pretty(manifest)? + "\n")?;
        Ok(())
    }

    /// Starts the database where it is a server; a cluster and its database are made where they are new.
    pub async fn open(&self, programs: Option<PathBuf>) -> Result<Opened, Failure> {
        let data = self.folder.join(DATA);
        match self.engine {
            EngineName::Embedded => Ok(Opened { place: Place { data, database: None, networks: None }, cluster: None }),
            EngineName::Postgres => {
                let folder = self.folder.join(CLUSTER);
                let is_new = !folder.exists();
                let cluster =
                    if is_new { Cluster::start(&folder, programs).await? } else { Cluster::reopen(&folder, programs).await? };
                let database = if is_new { cluster.database(DATABASE).await? } else { cluster.url(DATABASE) };
                Ok(Opened { place: Place { data, database: Some(database), networks: None }, cluster: Some(cluster) })
            }
        }
    }
}

impl Opened {
    /// Stops the database.
    pub async fn close(self) -> Result<(), Failure> {
        match self.cluster {
            Some(cluster) => cluster.stop().await,
            None => Ok(()),
        }
    }
}
