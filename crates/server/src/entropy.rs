//! Randomness, passed in wherever it is needed.

use domain::ids::{ID_RANDOM_BYTES, uuid_v7};
use domain::instant::Instant;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A cryptographic random source that was seeded once.
#[derive(Debug)]
pub struct Entropy {
    rng: ChaCha12Rng,
}

/// The machine's random source failed.
#[derive(Debug, thiserror::Error)]
#[error("the machine gives no randomness: {0}")]
pub struct NoEntropy(getrandom::Error);

impl Entropy {
    /// A source seeded by the machine.
    ///
    /// # Errors
    /// The machine's own source failed.
    pub fn from_machine() -> Result<Self, NoEntropy> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(NoEntropy)?;
        Ok(Self::from_seed(seed))
    }

    /// A source that gives the same sequence for the same seed.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { rng: ChaCha12Rng::from_seed(seed) }
    }

    /// Random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// A fresh typed id, minted at `now`.
    pub fn id<T: From<uuid::Uuid>>(&mut self, now: Instant) -> T {
        T::from(uuid_v7(now, self.bytes::<ID_RANDOM_BYTES>()))
    }
}
