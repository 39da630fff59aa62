//! Registering metrics, and writing them down in Prometheus' text format.

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder, SharedString};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// Upper bounds for durations in seconds, from a commit into memory to a request that timed out.
const SECONDS: [f64; 14] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Upper bounds for the commands of a batch, up to the most that there can be.
const COMMANDS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

const METADATA: Metadata<'static> = Metadata::new("scrip", Level::INFO, None);

/// The metrics of one program. It belongs to nobody else: several programs in one process keep apart.
pub struct Registry {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

/// Names and values of a metric's labels.
pub type Labels<'l> = &'l [(&'static str, &'l str)];

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registry")
    }
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        let builder = PrometheusBuilder::new();
        let builder = with_buckets(builder, Matcher::Suffix("_seconds".to_owned()), &SECONDS);
        let builder = with_buckets(builder, Matcher::Suffix("_commands".to_owned()), &COMMANDS);
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        Self { recorder, handle }
    }

    /// A number that only grows.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Counter {
        self.recorder.describe_counter(KeyName::from_const_str(name), None, SharedString::const_str(help));
        self.recorder.register_counter(&key(name, labels), &METADATA)
    }

    /// A number that goes up and down.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Gauge {
        self.recorder.describe_gauge(KeyName::from_const_str(name), None, SharedString::const_str(help));
        self.recorder.register_gauge(&key(name, labels), &METADATA)
    }

    /// How values are spread. The name ends in `_seconds` or `_commands`.
    pub fn histogram(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Histogram {
        self.recorder.describe_histogram(KeyName::from_const_str(name), None, SharedString::const_str(help));
        self.recorder.register_histogram(&key(name, labels), &METADATA)
    }

    /// Everything, in Prometheus' text format.
    #[must_use]
    pub fn text(&self) -> String {
        self.handle.render()
    }

    /// Moves measured values into their buckets. They lie in a list until then, which would grow where nobody asks.
    pub fn sort_values(&self) {
        self.handle.run_upkeep();
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

fn with_buckets(builder: PrometheusBuilder, names: Matcher, bounds: &[f64]) -> PrometheusBuilder {
    // The only error is an empty list of bounds.
    builder.set_buckets_for_metric(names, bounds).unwrap_or_else(|_| PrometheusBuilder::new())
}

fn key(name: &'static str, labels: Labels<'_>) -> Key {
    let labels: Vec<Label> = labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect();
    Key::from_parts(name, labels)
}
