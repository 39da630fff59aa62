//! Which tokens still hold: every client's epoch, and single tokens that were revoked.
//!
//! Tokens are checked without a database. A server holds the epochs in memory and refreshes them every fifteen seconds;
//! what it revoked itself holds at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock};

use domain::ids::ClientId;
use domain::instant::Instant;
use domain::organisation::Client;
use store::RevokedToken;
use uuid::Uuid;

/// Seconds between refreshes: the longest a revocation on another server can go unnoticed here.
pub const REFRESH_S: u64 = 15;

/// What decides whether a token still holds.
#[derive(Debug, Default)]
pub struct ClientDirectory {
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    epochs: BTreeMap<ClientId, u64>,
    revoked: BTreeSet<ClientId>,
    tokens: BTreeMap<Uuid, Instant>,
}

impl ClientDirectory {
    /// Takes over what the database holds; tokens that have expired by `machine_now` are forgotten.
    pub fn refresh(&self, clients: &[Client], tokens: &[RevokedToken], machine_now: Instant) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.epochs = clients.iter().map(|client| (client.id, client.epoch)).collect();
        known.revoked = clients.iter().filter(|client| client.revoked_at.is_some()).map(|client| client.id).collect();
        known.tokens.extend(tokens.iter().map(|token| (token.id, token.expires_at)));
        known.tokens.retain(|_, expires_at| *expires_at > machine_now);
    }

    /// Revokes one token at once.
    pub fn revoke(&self, token_id: Uuid, expires_at: Instant) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).tokens.insert(token_id, expires_at);
    }

    /// Whether a token of this client, epoch and id holds. A client that is not known yet was created since the last
    /// refresh: its signed token is proof enough.
    #[must_use]
    pub fn accepts(&self, client_id: ClientId, epoch: u64, token_id: Uuid) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let is_current = known.epochs.get(&client_id).is_none_or(|newest| epoch >= *newest);
        is_current && !known.revoked.contains(&client_id) && !known.tokens.contains_key(&token_id)
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::OrganisationId;
    use domain::organisation::OrganisationKind;

    use super::*;

    #[test]
    fn a_token_holds_until_its_client_its_epoch_or_itself_is_revoked() {
        let id = ClientId::new(Uuid::from_u128(1));
        let client = |epoch, revoked_at| Client {
            id,
            organisation_id: OrganisationId::new(Uuid::nil()),
            kind: OrganisationKind::Issuer,
            secret_digest: [0; 32],
            epoch,
            revoked_at,
            created_at: Instant::from_micros(0),
        };
        let (token, now) = (Uuid::from_u128(9), Instant::from_micros(10));
        let directory = ClientDirectory::default();
        assert!(directory.accepts(id, 1, token), "a client created since the last refresh");
        directory.refresh(&[client(2, None)], &[], now);
        assert!(!directory.accepts(id, 1, token), "an older epoch");
        assert!(directory.accepts(id, 2, token));
        directory.revoke(token, Instant::from_micros(11));
        assert!(!directory.accepts(id, 2, token));
        directory.refresh(&[client(2, None)], &[], Instant::from_micros(12));
        assert!(directory.accepts(id, 2, token), "expired tokens are forgotten: they are refused for their time");
        directory.refresh(&[client(2, Some(now))], &[], now);
        assert!(!directory.accepts(id, 2, Uuid::from_u128(8)));
    }
}
