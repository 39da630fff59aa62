//! Noticing at the start that the database is older than what this instance has done with it: a restored backup, a standby
//! without the newest commits, a copy that was put back.
//!
//! Nothing is refused for it. Numbers that the lost history may have used on a ledger are passed over before anything is
//! created, and the ledger work signs nothing until it knows what the ledgers know (`jobs/recover.rs`).

use std::collections::BTreeMap;
use std::path::Path;

use domain::campaign::Campaign;
use domain::product::Product;
use sha2::{Digest, Sha256};

use super::{Office, StartFault};
use crate::backup::RESTORED_SETTING;
use crate::fence::WentBack;
use crate::jobs::head::{self, HeadFault};
use crate::jobs::lane;
use crate::operations::recovery::{HISTORY_SETTING, History, RestartHistory, SKIPPED_AT_RESTART, SkipNumbers};

/// Rows that are changed in one commit.
const CHUNK_ROWS: u32 = 200;

/// Why the history is taken to have restarted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
enum Restart {
    /// The journal lies behind the head that was kept.
    #[error(transparent)]
    WentBack(#[from] WentBack),
    /// A folder that was used before has no head of the journal that can be read.
    #[error("the journal's head is missing beside a data folder that was used before")]
    HeadMissing,
    /// `scrip restore` made the database.
    #[error("the database was restored from a backup")]
    Restored,
}

/// Counts a restart of the history where there is one, and passes numbers over.
///
/// # Errors
/// The database or the desk does not answer; the head's file cannot be replaced.
pub async fn settle(office: &Office, data: &Path) -> Result<(), StartFault> {
    let stored = office.archive.setting(HISTORY_SETTING)?;
    let history = History::of_stored(stored.as_deref()).map_err(|_| StartFault::UnreadableHistory)?;
    let note = office.archive.setting(RESTORED_SETTING)?.map(|note| hex::encode(Sha256::digest(note)));
    let head_path = head::default_path(data);
    let is_headless = match head::read(&head_path, &office.keyring) {
        Ok(_) => false,
        Err(HeadFault::Missing(_) | HeadFault::Forged) => lane::has_holder(data) && office.archive.journal_head()?.sequence > 0,
    };
    let restart = match office.went_back {
        Some(went_back) => Restart::WentBack(went_back),
        None if note.is_some() && note != history.restored_note => Restart::Restored,
        None if is_headless => Restart::HeadMissing,
        None => return Ok(()),
    };
    tracing::error!(%restart, "the history restarts: numbers are passed over, and nothing is signed before the ledgers were compared");
    skip_numbers(office).await?;
    let history = History { restarts: history.restarts.saturating_add(1), restored_note: note };
    office.desk.run(RestartHistory { history }, office.clock.now()).await.map_err(StartFault::Restart)?;
    // Only now: a start that is cut off before this finds the restart again.
    let newest = office.archive.journal_head()?;
    let replaced = head::replace(&head_path, &office.keyring, newest);
    replaced.map_err(|error| StartFault::Io(head_path.display().to_string(), error))
}

async fn skip_numbers(office: &Office) -> Result<(), StartFault> {
    let (sequences, indexes) = SKIPPED_AT_RESTART;
    let mut after = None;
    loop {
        let campaigns = office.archive.all_campaigns(after, CHUNK_ROWS)?;
        let Some(last) = campaigns.last() else { break };
        after = Some(last.id);
        let above = |campaign: &Campaign| (campaign.id, campaign.newest_sequence().saturating_add(sequences));
        let skip = SkipNumbers { campaigns: campaigns.iter().map(above).collect(), products: BTreeMap::new() };
        office.desk.run(skip, office.clock.now()).await.map_err(StartFault::Restart)?;
    }
    let mut after = None;
    loop {
        let products: Vec<Product> = office.archive.all_products(after, CHUNK_ROWS)?;
        let Some(last) = products.last() else { return Ok(()) };
        after = Some(last.id);
        let above = |product: &Product| (product.id, product.newest_campaign_index().saturating_add(indexes));
        let skip = SkipNumbers { campaigns: BTreeMap::new(), products: products.iter().map(above).collect() };
        office.desk.run(skip, office.clock.now()).await.map_err(StartFault::Restart)?;
    }
}
