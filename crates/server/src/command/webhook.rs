//! `scrip webhook`: where organisations are told of their investments.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use domain::ids::OrganisationId;
use domain::webhook::{OutboxChange, Webhook, WebhookState};

use super::{DataArgs, Failure, close};
use crate::operations::sandbox::INHABITANTS_SETTING;
use crate::operations::webhook::{RemoveWebhook, RotateSecret, SetWebhook, SettleOutbox};
use crate::program::Office;
use crate::receivers::Reach;

#[derive(Debug, Subcommand)]
pub(super) enum WebhookCommand {
    /// Sets up an organisation's webhook, or points it elsewhere; prints `{organisation_id, url, secret}`. The secret is shown
    /// once, when it is new.
    Set {
        /// The platform or issuer that is told.
        #[arg(long)]
        organisation_id: uuid::Uuid,
        /// Where to: https, a public host.
        #[arg(long)]
        url: String,
        /// A file with the bearer token that the receiver wants to see.
        #[arg(long, value_name = "FILE")]
        bearer_file: Option<PathBuf>,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Gives a webhook a new secret and prints it. For a day the old one signs beside it.
    Rotate {
        /// The platform or issuer that is told.
        #[arg(long)]
        organisation_id: uuid::Uuid,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Sends everything that waits for a webhook at once, also where it rests.
    Replay {
        /// The platform or issuer that is told.
        #[arg(long)]
        organisation_id: uuid::Uuid,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Removes a webhook, and forgets what waits for it.
    Remove {
        /// The platform or issuer that was told.
        #[arg(long)]
        organisation_id: uuid::Uuid,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Prints every webhook, one a line: `{organisation_id, url, state, since, waiting}`.
    List {
        #[command(flatten)]
        data: DataArgs,
    },
}

impl WebhookCommand {
    /// Does what is asked for.
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let (Self::Set { data, .. }
        | Self::Rotate { data, .. }
        | Self::Replay { data, .. }
        | Self::Remove { data, .. }
        | Self::List { data }) = &self;
        let office = Office::open(&data.data, data.database.as_deref())?;
        let done = self.act(&office).await;
        let code = close(office, &data.data).await?;
        done.map(|()| code)
    }

    async fn act(&self, office: &Office) -> Result<(), Failure> {
        let now = office.clock.now();
        match self {
            Self::Set { organisation_id, url, bearer_file, data: _ } => {
                set(office, OrganisationId::new(*organisation_id), url, bearer_file.as_deref()).await
            }
            Self::Rotate { organisation_id, data: _ } => {
                let stored = known(office, *organisation_id)?;
                let secret = office.desk.run(RotateSecret { stored }, now).await?;
                println!("{}", serde_json::json!({ "organisation_id": organisation_id, "secret": secret }));
                Ok(())
            }
            Self::Replay { organisation_id, data: _ } => {
                let organisation_id = known(office, *organisation_id)?.organisation_id;
                let changes = vec![OutboxChange::Replayed { organisation_id, due_at: now }];
                office.desk.run(SettleOutbox { changes }, now).await?;
                show(office, &known(office, organisation_id.uuid())?)
            }
            Self::Remove { organisation_id, data: _ } => {
                let stored = known(office, *organisation_id)?;
                office.desk.run(RemoveWebhook { stored }, now).await?;
                println!("{}", serde_json::json!({ "organisation_id": organisation_id, "removed": true }));
                Ok(())
            }
            Self::List { data: _ } => office.archive.webhooks()?.iter().try_for_each(|webhook| show(office, webhook)),
        }
    }
}

async fn set(
    office: &Office,
    organisation_id: OrganisationId,
    url: &str,
    bearer_file: Option<&std::path::Path>,
) -> Result<(), Failure> {
    let is_sandbox = office.archive.setting(INHABITANTS_SETTING)?.is_some();
    let reach = if is_sandbox { Reach::PublicAndOwnMachine } else { Reach::Public };
    let url = reach.read_url(url)?.to_string();
    let bearer = bearer_file.map(std::fs::read_to_string).transpose()?.map(|token| token.trim().to_owned());
    if bearer.as_ref().is_some_and(|token| token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err("the file holds no bearer token: one word of visible ASCII".into());
    }
    let stored = office.archive.webhook(organisation_id)?;
    let order = SetWebhook { organisation_id, url: url.clone(), bearer, stored };
    let secret = office.desk.run(order, office.clock.now()).await?;
    println!("{}", serde_json::json!({ "organisation_id": organisation_id.uuid(), "url": url, "secret": secret }));
    Ok(())
}

fn known(office: &Office, organisation_id: uuid::Uuid) -> Result<Webhook, Failure> {
    let stored = office.archive.webhook(OrganisationId::new(organisation_id))?;
    let known = stored.filter(|webhook| !matches!(webhook.state, WebhookState::Removed { .. }));
    known.ok_or_else(|| "the organisation has no webhook".into())
}

fn show(office: &Office, webhook: &Webhook) -> Result<(), Failure> {
    let (state, since) = match webhook.state {
        WebhookState::Active => ("active", None),
        WebhookState::Resting { since, reason } => (reason.code(), Some(since)),
        WebhookState::Removed { at } => ("removed", Some(at)),
    };
    let shown = serde_json::json!({
        "organisation_id": webhook.organisation_id.uuid(),
        "url": webhook.url,
        "state": state,
        "since": since.map(|since| since.to_string()),
        "waiting": office.archive.events_waiting(webhook.organisation_id)?,
    });
    println!("{shown}");
    Ok(())
}
