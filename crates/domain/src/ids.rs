//! Typed identifiers. An id of one kind cannot be passed where another is due.

use std::fmt;

use uuid::Uuid;

use crate::instant::Instant;

/// Randomness that goes into one fresh id, in bytes.
pub const ID_RANDOM_BYTES: usize = 8;

/// Builds a `UUIDv7` (RFC 9562) from the instant it is minted at and caller-supplied randomness.
///
/// The 12 bits after the millisecond carry the fraction of the millisecond, so ids minted by one process sort by
/// the instant of their minting.
#[must_use]
pub fn uuid_v7(at: Instant, random: [u8; ID_RANDOM_BYTES]) -> Uuid {
    let micros = u64::try_from(at.micros().max(0)).unwrap_or(0);
    let (millis, rest) = (micros / 1_000, micros % 1_000);
    let fraction = rest * 4_096 / 1_000;
    let high = (millis << 16) | 0x7000 | fraction;
    let low = (u64::from_be_bytes(random) & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    Uuid::from_u64_pair(high, low)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that is known to name this kind of object.
            #[must_use]
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID, for storage and the wire.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// The sixteen bytes of the UUID.
            #[must_use]
            pub const fn bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )+};
}

ids! {
    /// A tenant: an issuer-side organisation, a distribution platform, or the registrar.
    OrganisationId;
    /// An OAuth client of one organisation.
    ClientId;
    /// The legal entity behind products.
    IssuerId;
    /// A crypto security that units are sold of.
    ProductId;
    /// The permission of a distribution platform's accounts to hold a product.
    ListingId;
    /// A primary-market campaign of one product on one distribution platform.
    CampaignId;
    /// An investor account on one distribution platform.
    InvestorId;
    /// A wallet of an investor.
    WalletId;
    /// One purchase position.
    InvestmentId;
    /// An uploaded document.
    DocumentId;
    /// A document attached to an investment.
    SignedDocumentId;
    /// The task that issues an investment's units to its wallet.
    CreditId;
    /// One numbered order to a token contract.
    InstructionId;
    /// A signed EVM transaction in all its attempts.
    LedgerTransactionId;
    /// One signed version of a ledger transaction.
    AttemptId;
    /// One commit of the desk.
    BatchId;
    /// One message of the outbox, the same at every try.
    EventId;
    /// A data folder whose program works on a lane: only one process at a time is this holder.
    HolderId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_the_instant_of_their_minting() {
        let earlier = uuid_v7(Instant::from_micros(1_741_763_653_630_308), [0xff; 8]);
        let later = uuid_v7(Instant::from_micros(1_741_763_653_630_309), [0x00; 8]);
        assert!(earlier < later, "{earlier} {later}");
        assert_eq!(earlier.get_version_num(), 7);
        assert_eq!(earlier.get_variant(), uuid::Variant::RFC4122);
    }
}
