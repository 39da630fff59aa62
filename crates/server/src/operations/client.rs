//! OAuth clients: creating them, revoking them and single tokens.

use domain::ids::{ClientId, OrganisationId};
use domain::instant::Instant;
use domain::organisation::Client;
use sha2::{Digest, Sha256};
use store::{Book, RevokedToken, Wanted};
use uuid::Uuid;

use super::{Context, Operation, Refused};

/// Creates a client of an organisation, with a secret of 256 random bits that is shown once.
#[derive(Clone, Copy, Debug)]
pub struct CreateClient {
    /// The tenant it acts for.
    pub organisation_id: OrganisationId,
}

/// A new client and its secret.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// The client.
    pub client: Client,
    /// The secret, in hexadecimal. Only its digest is stored.
    pub secret: String,
}

impl Operation for CreateClient {
    type Output = NewClient;

    fn want(&self, wanted: &mut Wanted) {
        wanted.organisations.insert(self.organisation_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<NewClient, Refused> {
        let kind = book.organisations.get(&self.organisation_id).ok_or(Refused::NotFound)?.kind;
        let secret = hex::encode(cx.entropy.bytes::<32>());
        let client = Client {
            id: cx.entropy.id(cx.now),
            organisation_id: self.organisation_id,
            kind,
            secret_digest: Sha256::digest(secret.as_bytes()).into(),
            epoch: 1,
            revoked_at: None,
            created_at: cx.now,
        };
        cx.journal(book, "create_client", &client)?;
        book.clients.put(client.id, client.clone());
        Ok(NewClient { client, secret })
    }
}

/// Revokes a client for good: its secret and every token it holds.
#[derive(Clone, Copy, Debug)]
pub struct RevokeClient {
    /// The client.
    pub client_id: ClientId,
}

impl Operation for RevokeClient {
    type Output = Client;

    fn want(&self, wanted: &mut Wanted) {
        wanted.clients.insert(self.client_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Client, Refused> {
        let mut client = book.clients.get(&self.client_id).ok_or(Refused::NotFound)?.clone();
        if client.revoked_at.is_none() {
            client.revoked_at = Some(cx.now);
            client.epoch += 1;
            cx.journal(book, "revoke_client", &client)?;
            book.clients.put(client.id, client.clone());
        }
        Ok(client)
    }
}

/// Revokes one access token before it expires (RFC 7009).
#[derive(Clone, Copy, Debug)]
pub struct RevokeToken {
    /// The token's `jti`.
    pub token_id: Uuid,
    /// When it expires, by the machine's clock.
    pub expires_at: Instant,
}

impl Operation for RevokeToken {
    type Output = ();

    fn want(&self, _wanted: &mut Wanted) {}

    fn run(&self, _book: &mut Book, cx: &mut Context<'_>) -> Result<(), Refused> {
        cx.record.revoked_tokens.push(RevokedToken { id: self.token_id, expires_at: self.expires_at });
        Ok(())
    }
}
