//! Moments at which a crash tells most, by name: the rows K01 to K14 of the catalogue of faults.
//!
//! They exist only with the feature `planted`, and act only when the environment variable `SCRIP_KILL_AT` names one: the
//! process is gone then as after `kill -9`, without a destructor or a flush. `name:2` lets it pass twice first. Without the
//! feature the question is a constant "no".

/// A moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CrashPoint {
    /// A credit was decided, and nothing of it is committed (K01).
    CreditDecided,
    /// A credit is committed, and not answered (K02).
    CreditCommitted,
    /// A lane was claimed, and nothing was done (K03).
    LaneClaimed,
    /// A nonce and what is bound to it are committed, and nothing is signed (K04).
    NonceReserved,
    /// Something is signed, and its bytes are not committed (K05).
    Signed,
    /// Bytes are committed, and not sent (K06; K09 where they are dearer ones at the same nonce).
    BytesStored,
    /// Bytes are being sent (K07).
    Sending,
    /// Bytes were sent, and nobody noticed that (K08, K10).
    Sent,
    /// A block holds what was sent, and nobody acted on it (K11).
    Included,
    /// The judge has spoken, and nothing is recorded (K12).
    Judged,
    /// The verdict is being committed (K13).
    VerdictWriting,
    /// A receiver has a webhook, and nobody noted that (K14).
    WebhookSent,
}

impl CrashPoint {
    /// Every moment, in the order in which a credit meets them.
    pub const ALL: [Self; 12] = [
        Self::CreditDecided,
        Self::CreditCommitted,
        Self::LaneClaimed,
        Self::NonceReserved,
        Self::Signed,
        Self::BytesStored,
        Self::Sending,
        Self::Sent,
        Self::Included,
        Self::Judged,
        Self::VerdictWriting,
        Self::WebhookSent,
    ];

    /// The name in `SCRIP_KILL_AT`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreditDecided => "credit_decided",
            Self::CreditCommitted => "credit_committed",
            Self::LaneClaimed => "lane_claimed",
            Self::NonceReserved => "nonce_reserved",
            Self::Signed => "signed",
            Self::BytesStored => "bytes_stored",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Included => "included",
            Self::Judged => "judged",
            Self::VerdictWriting => "verdict_writing",
            Self::WebhookSent => "webhook_sent",
        }
    }

    /// The moment has come: the process ends here, if that is asked for.
    pub fn reached(self) {
        if self.is_due() {
            gone();
        }
    }

    /// Ends the process while something is under way, if that is asked for: once it has begun and could not end at once.
    pub async fn during<T>(self, under_way: impl Future<Output = T>) -> T {
        if !self.is_due() {
            return under_way.await;
        }
        let _cut_short = tokio::time::timeout(std::time::Duration::from_micros(200), under_way).await;
        gone()
    }

    /// Whether the process is to end here.
    #[cfg(feature = "planted")]
    #[must_use]
    pub fn is_due(self) -> bool {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static PASSED: AtomicUsize = AtomicUsize::new(0);
        let Ok(asked) = std::env::var("SCRIP_KILL_AT") else { return false };
        let (name, passes) = asked.split_once(':').unwrap_or((&asked, "0"));
        name == self.name() && passes.parse().is_ok_and(|passes: usize| PASSED.fetch_add(1, Ordering::Relaxed) >= passes)
    }

    /// Whether the process is to end here.
    #[cfg(not(feature = "planted"))]
    #[must_use]
    pub const fn is_due(self) -> bool {
        false
    }
}

fn gone() -> ! {
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<&str> = CrashPoint::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), CrashPoint::ALL.len());
    }
}
