//! What the sending of webhooks counts.

use metrics::Counter;

use super::Registry;

/// The relay's handles. Clones count together.
#[derive(Clone, Debug)]
pub struct WebhookMeters {
    /// Events that a receiver has.
    pub delivered: Counter,
    /// Events that were sent in vain, each try.
    pub failed: Counter,
    /// Webhooks that came to rest.
    pub rested: Counter,
}

impl WebhookMeters {
    pub(super) fn register(registry: &Registry) -> Self {
        let tries = |outcome| {
            registry.counter("scrip_webhook_tries_total", "Events that were sent to a receiver.", &[("outcome", outcome)])
        };
        Self {
            delivered: tries("delivered"),
            failed: tries("failed"),
            rested: registry.counter(
                "scrip_webhooks_rested_total",
                "Webhooks that came to rest: nothing is sent until somebody replays it.",
                &[],
            ),
        }
    }
}
