//! What the counter counts of requests, by route as the OpenAPI file writes it.

use std::collections::HashMap;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

use super::Registry;

/// The route and method of a request that no operation takes.
const NONE: &str = "none";
/// The classes that answers are counted in.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// The counter's handles.
#[derive(Debug)]
pub struct ApiMeters {
    by_route: HashMap<String, Vec<(&'static str, OperationMeters)>>,
    unrouted: OperationMeters,
    in_flight: Gauge,
    rate_limited: Counter,
    unauthenticated: Counter,
}

#[derive(Debug)]
struct OperationMeters {
    classes: [Counter; 4],
    duration: Histogram,
}

/// A request that is being answered; it counts until it is dropped, also where its client hangs up.
#[derive(Debug)]
pub struct InFlight<'m>(&'m Gauge);

impl ApiMeters {
    /// Registers every operation, a route and a method.
    #[must_use]
    pub fn register(registry: &Registry, operations: impl IntoIterator<Item = (String, &'static str)>) -> Self {
        let mut by_route: HashMap<String, Vec<_>> = HashMap::new();
        for (route, method) in operations {
            let meters = OperationMeters::register(registry, &route, method);
            by_route.entry(route).or_default().push((method, meters));
        }
        Self {
            by_route,
            unrouted: OperationMeters::register(registry, NONE, NONE),
            in_flight: registry.gauge("scrip_http_requests_in_flight", "Requests that are being answered.", &[]),
            rate_limited: registry.counter("scrip_http_rate_limited_total", "Requests answered with 429.", &[]),
            unauthenticated: registry.counter(
                "scrip_http_unauthenticated_total",
                "Requests answered with 401: no valid token, or wrong credentials.",
                &[],
            ),
        }
    }

    /// Counts a request as being answered.
    #[must_use]
    pub fn begin(&self) -> InFlight<'_> {
        self.in_flight.increment(1_u32);
        InFlight(&self.in_flight)
    }

    /// Counts an answer.
    pub fn answered(&self, route: Option<&str>, method: &str, status: u16, duration: Duration) {
        // HEAD is answered by the operation of GET.
        let method = if method == "HEAD" { "GET" } else { method };
        let operations = route.and_then(|route| self.by_route.get(route));
        let operation = operations.and_then(|found| found.iter().find(|(known, _)| *known == method));
        let meters = operation.map_or(&self.unrouted, |(_, meters)| meters);
        if let Some(class) = meters.classes.get(usize::from(status / 100).saturating_sub(2)) {
            class.increment(1);
        }
        meters.duration.record(duration);
        match status {
            401 => self.unauthenticated.increment(1),
            429 => self.rate_limited.increment(1),
            _ => {}
        }
    }
}

impl OperationMeters {
    fn register(registry: &Registry, route: &str, method: &str) -> Self {
        let class = |class| {
            let help = "Requests answered, by route, method and class of status.";
            registry.counter("scrip_http_requests_total", help, &[("route", route), ("method", method), ("status", class)])
        };
        let help = "Time from a request's head to its answer's head.";
        let labels: [(&'static str, &str); 2] = [("route", route), ("method", method)];
        Self { classes: CLASSES.map(class), duration: registry.histogram("scrip_http_request_duration_seconds", help, &labels) }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.decrement(1_u32);
    }
}
