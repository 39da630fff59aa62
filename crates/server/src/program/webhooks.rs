//! Starting the relay of webhooks.

use domain::ids::HolderId;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Office, Settings};
use crate::entropy::Entropy;
use crate::jobs::supervise;
use crate::jobs::webhooks::{Relay, RelayParts};

/// Starts to send what waits, until told to stop.
pub(super) fn start(settings: &Settings, office: &Office, holder: HolderId, stopped: &watch::Receiver<bool>) -> JoinHandle<()> {
    let parts = RelayParts {
        desk: office.desk.clone(),
        archive: office.archive.clone(),
        clock: office.clock.clone(),
        keyring: office.keyring.clone(),
        holder,
        lease: settings.lease,
        reach: settings.reach(),
        meters: office.meters.webhooks.clone(),
    };
    let told = stopped.clone();
    let send = move || {
        let (parts, told) = (parts.clone(), told.clone());
        async move {
            let Ok(entropy) = Entropy::from_machine() else {
                return tracing::error!("there is no randomness: webhooks are not sent");
            };
            match Relay::new(parts, entropy) {
                Ok(relay) => relay.run(told).await,
                Err(error) => tracing::error!(%error, "webhooks are not sent"),
            }
        }
    };
    tokio::spawn(supervise("webhooks", office.meters.tasks.clone(), stopped.clone(), send))
}
