//! Tokens that were verified before. A client sends one token thousands of times in its quarter of an hour; its signature
//! and claims are the same each time. What can change is asked anew for every request: whether its time is over here, its
//! epoch and revocation by the caller.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use domain::instant::Instant;
use sha2::{Digest, Sha256};

use super::{CLOCK_LEEWAY_S, TokenFault, TokenSigner, VerifiedToken};

/// Tokens that are remembered; a server with more clients verifies some of them again.
const TOKENS_MAX: usize = 8_192;

/// Remembers verified tokens by their digest: comparing the digests of two tokens tells nothing about either.
#[derive(Debug, Default)]
pub struct VerifiedTokens {
    known: RwLock<HashMap<[u8; 32], Arc<VerifiedToken>>>,
}

impl VerifiedTokens {
    /// As [`TokenSigner::verify`].
    ///
    /// # Errors
    /// As [`TokenSigner::verify`]; nothing is remembered about a token that does not hold.
    pub fn verify(&self, signer: &TokenSigner, token: &str, now: Instant) -> Result<Arc<VerifiedToken>, TokenFault> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned();
        if let Some(known) = known.filter(|known| known.is_within_time(now)) {
            return Ok(known);
        }
        let verified = Arc::new(signer.verify(token, now)?);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= TOKENS_MAX {
            known.retain(|_, token| token.is_within_time(now));
        }
        if known.len() < TOKENS_MAX {
            known.insert(digest, verified.clone());
        }
        Ok(verified)
    }
}

impl VerifiedToken {
    fn is_within_time(&self, now: Instant) -> bool {
        let now_s = now.seconds_floor();
        now_s.saturating_sub(CLOCK_LEEWAY_S) < self.expires_at.seconds_floor()
            && now_s.saturating_add(CLOCK_LEEWAY_S) >= self.not_before.seconds_floor()
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::{ClientId, OrganisationId};
    use domain::organisation::OrganisationKind;
    use uuid::Uuid;

    use super::super::{Grant, Scopes, TOKEN_LIFE_S};
    use super::*;

    fn at(second: i64) -> Instant {
        Instant::from_micros(second * 1_000_000)
    }

    fn token(signer: &TokenSigner, id: u128) -> String {
        let grant = Grant {
            client_id: ClientId::new(Uuid::from_u128(1)),
            organisation_id: OrganisationId::new(Uuid::from_u128(2)),
            kind: OrganisationKind::Distributor,
            scopes: Scopes::parse("investments:read").unwrap(),
            epoch: 3,
        };
        signer.mint(&grant, Uuid::from_u128(id), at(1_000_000)).unwrap()
    }

    #[test]
    fn t05_a_remembered_token_is_what_its_signer_says_at_every_second() {
        let signer = TokenSigner::new([7; 32]);
        let (verified, token) = (VerifiedTokens::default(), token(&signer, 4));
        let seconds = (-100..100).chain(TOKEN_LIFE_S - 100..TOKEN_LIFE_S + 100);
        for second in seconds.clone().chain(seconds) {
            let now = at(1_000_000 + second);
            let remembered = verified.verify(&signer, &token, now);
            assert_eq!(remembered.map(|token| (*token).clone()), signer.verify(&token, now), "second {second}");
        }
    }

    #[test]
    fn t05_a_token_that_differs_in_one_letter_is_not_the_remembered_one() {
        let signer = TokenSigner::new([7; 32]);
        let (verified, token) = (VerifiedTokens::default(), token(&signer, 4));
        assert!(verified.verify(&signer, &token, at(1_000_000)).is_ok());
        for place in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(bytes).unwrap();
            assert_eq!(
                verified.verify(&signer, &other, at(1_000_000)).map(|token| (*token).clone()),
                signer.verify(&other, at(1_000_000)),
                "{other}"
            );
        }
    }

    #[test]
    fn tokens_are_remembered_up_to_a_number_and_expired_ones_make_room() {
        let signer = TokenSigner::new([7; 32]);
        let verified = VerifiedTokens::default();
        let len = || verified.known.read().unwrap().len();
        for id in 0..=TOKENS_MAX as u128 {
            assert!(verified.verify(&signer, &token(&signer, id), at(1_000_000)).is_ok());
        }
        assert_eq!(len(), TOKENS_MAX);
        let later = at(1_000_000 + TOKEN_LIFE_S + CLOCK_LEEWAY_S);
        let grant = signer.verify(&token(&signer, 0), at(1_000_000)).unwrap().grant;
        let fresh = signer.mint(&grant, Uuid::from_u128(9), later).unwrap();
        assert!(verified.verify(&signer, &fresh, later).is_ok());
        assert_eq!(len(), 1);
    }
}
