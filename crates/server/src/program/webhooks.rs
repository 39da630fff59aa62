//! Starting the relay of webhooks.

use domain::ids::HolderId;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Office, Settings, StartFault};
use crate::entropy::Entropy;
use crate::jobs::lane::holder_of;
use crate::jobs::supervise;
use crate::jobs::webhooks::{Relay, RelayParts};

/// Starts to send what waits, until told to stop.
pub(super) fn start(settings: &Settings, office: &Office, stopped: &watch::Receiver<bool>) -> Result<JoinHandle<()>, StartFault> {
    let holder: HolderId = holder_of(&settings.data, &mut Entropy::from_machine()?)
        .map_err(|error| StartFault::Io("the holder's name".into(), error))?;
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
    Ok(tokio::spawn(supervise("webhooks", office.meters.tasks.clone(), stopped.clone(), send)))
}
