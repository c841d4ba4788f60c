//! Metrics: a fixed set of names and labels, in the Prometheus text format.
//!
//! Labels come from fixed sets only (reasons, outcomes); nothing a sender or a link visitor can choose becomes one.
//! Destinations are the exception, up to [`DESTINATION_LABELS_MAX`] of them, largest backlog first.

use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use domain::verdict::FailureReason;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry as Families;
use storage::{COMMIT_SIZE_BOUNDS, Figures, SYNC_SECONDS_BOUNDS};

/// Most destinations with metrics of their own.
pub const DESTINATION_LABELS_MAX: usize = 200;

/// Upper bounds of the attempt histogram, in seconds.
const ATTEMPT_SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Upper bounds of the histogram of batches, in deliveries.
const BATCH_SIZES: [f64; 6] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0];

/// The counters that the pipeline raises as it works.
#[derive(Debug)]
pub struct Metrics {
    families: Families,
    pub ingested: Counter,
    pub duplicates: Counter,
    rejected: Family<Reason, Counter>,
    attempts: Family<Outcome, Counter>,
    attempt_seconds: Histogram,
    batch_sizes: Histogram,
    pub in_flight: Gauge,
    pub breakers_open: Gauge,
    pub facts_folded: Counter,
    /// Age of the oldest event that is still to be read for whom it is about, when somebody last looked.
    pub identity_lag_seconds: Gauge<f64, AtomicU64>,
    pub links_refused: Counter,
    pub identity_events_aside: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: OutcomeLabel,
    reason: &'static str,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutcomeLabel {
    Delivered,
    Retry,
    Dead,
    Skipped,
    Paused,
}

impl EncodeLabelValue for OutcomeLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        encoder.write_str(match self {
            Self::Delivered => "delivered",
            Self::Retry => "retry",
            Self::Dead => "dead",
            Self::Skipped => "skipped",
            Self::Paused => "paused",
        })
    }
}

/// What only a look at the whole process can tell, taken when metrics are read.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub figures: Figures,
    /// Name, backlog and age of the oldest due delivery in seconds, of each destination that has a backlog.
    pub lanes: Vec<LaneFigures>,
    /// Connections of the listener.
    pub connections: u64,
}

/// The backlog of one destination.
#[derive(Debug, Clone)]
pub struct LaneFigures {
    /// `appspace/destination`.
    pub name: String,
    pub pending: u64,
    pub oldest_due_seconds: f64,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut families = Families::with_prefix("afterclick");
        let metrics = Self {
            ingested: Counter::default(),
            duplicates: Counter::default(),
            rejected: Family::default(),
            attempts: Family::default(),
            attempt_seconds: Histogram::new(ATTEMPT_SECONDS),
            batch_sizes: Histogram::new(BATCH_SIZES),
            in_flight: Gauge::default(),
            breakers_open: Gauge::default(),
            facts_folded: Counter::default(),
            identity_lag_seconds: Gauge::default(),
            links_refused: Counter::default(),
            identity_events_aside: Gauge::default(),
            families: Families::default(),
        };
        families.register("events_ingested", "Events stored", metrics.ingested.clone());
        families.register(
            "events_duplicate",
            "Events received again and counted on the first",
            metrics.duplicates.clone(),
        );
        families.register(
            "requests_rejected",
            "Requests to the intake that were refused, by code",
            metrics.rejected.clone(),
        );
        families.register("attempts", "Delivery attempts by outcome", metrics.attempts.clone());
        families.register("attempt_seconds", "Time of one attempt at a batch", metrics.attempt_seconds.clone());
        families.register("batch_size", "Deliveries of one attempt", metrics.batch_sizes.clone());
        families.register("attempts_in_flight", "Delivery attempts on the wire", metrics.in_flight.clone());
        families.register("breakers_open", "Destinations whose breaker is open", metrics.breakers_open.clone());
        families.register("identity_facts", "Events read for whom they are about", metrics.facts_folded.clone());
        families.register(
            "identity_lag_seconds",
            "Age of the oldest event that is still to be read for whom it is about",
            metrics.identity_lag_seconds.clone(),
        );
        families.register(
            "identity_links_refused",
            "Links between identifiers that were left out because one of them has too many",
            metrics.links_refused.clone(),
        );
        families.register(
            "identity_events_aside",
            "Events that could not be read for whom they are about and wait to be tried again",
            metrics.identity_events_aside.clone(),
        );
        Self { families, ..metrics }
    }
}

impl Metrics {
    /// Counts a refused request. `code` is one of the fixed codes of the intake.
    pub fn reject(&self, code: &'static str) {
        self.rejected.get_or_create(&Reason { reason: code }).inc();
    }

    /// Counts what an attempt meant for so many deliveries.
    pub fn attempts(&self, outcome: OutcomeLabel, reason: Option<FailureReason>, deliveries: u64) {
        let reason = reason.map_or("", FailureReason::code);
        self.attempts.get_or_create(&Outcome { outcome, reason }).inc_by(deliveries);
    }

    /// Counts an attempt at a batch of so many deliveries.
    pub fn tried(&self, deliveries: usize, took: Duration) {
        self.attempt_seconds.observe(took.as_secs_f64());
        self.batch_sizes.observe(deliveries as f64);
    }

    /// Everything in the Prometheus text format.
    pub fn render(&self, mut snapshot: Snapshot) -> String {
        let mut text = String::new();
        encode(&mut text, &self.families).expect("writing to a string cannot fail");
        // The encoder ends with the end-of-file mark of OpenMetrics; what follows goes before it.
        let eof = text.rfind("# EOF").unwrap_or(text.len());
        text.truncate(eof);
        render_figures(&mut text, &snapshot.figures);
        gauge(&mut text, "connections", "Open connections of the listener", snapshot.connections as f64);
        snapshot.lanes.sort_by(|a, b| b.pending.cmp(&a.pending).then_with(|| a.name.cmp(&b.name)));
        snapshot.lanes.truncate(DESTINATION_LABELS_MAX);
        render_lanes(&mut text, &snapshot.lanes);
        text.push_str("# EOF\n");
        text
    }
}

fn render_figures(text: &mut String, figures: &Figures) {
    let sizes = COMMIT_SIZE_BOUNDS.map(|bound| bound as f64);
    histogram(text, "commit_size", "Calls per commit", &sizes, &figures.commit_sizes, figures.commit_size_sum as f64);
    let (syncs, sum) = (&figures.sync_seconds, figures.sync_seconds_sum);
    histogram(text, "sync_seconds", "Time of the durable write of a commit", &SYNC_SECONDS_BOUNDS, syncs, sum);
    gauge(text, "commit_queue", "Calls waiting to be committed", figures.queued as f64);
}

fn render_lanes(text: &mut String, lanes: &[LaneFigures]) {
    for (name, help) in [
        ("backlog", "Deliveries pending, by destination"),
        ("oldest_due_seconds", "Age of the oldest due delivery, by destination"),
    ] {
        let _ = writeln!(text, "# HELP afterclick_{name} {help}.\n# TYPE afterclick_{name} gauge");
        for lane in lanes {
            let value = if name == "backlog" { lane.pending as f64 } else { lane.oldest_due_seconds };
            // Names are made of letters, digits, `-`, `_`, `.` and one `/`: nothing to escape.
            let _ = writeln!(text, "afterclick_{name}{{destination=\"{}\"}} {value}", lane.name);
        }
    }
}

fn gauge(text: &mut String, name: &str, help: &str, value: f64) {
    let _ =
        writeln!(text, "# HELP afterclick_{name} {help}.\n# TYPE afterclick_{name} gauge\nafterclick_{name} {value}");
}

fn histogram(text: &mut String, name: &str, help: &str, bounds: &[f64], counts: &[u64], sum: f64) {
    let _ = writeln!(text, "# HELP afterclick_{name} {help}.\n# TYPE afterclick_{name} histogram");
    let mut total = 0;
    for (index, count) in counts.iter().enumerate() {
        total += count;
        let bound = bounds.get(index).map_or_else(|| "+Inf".to_owned(), ToString::to_string);
        let _ = writeln!(text, "afterclick_{name}_bucket{{le=\"{bound}\"}} {total}");
    }
    let _ = writeln!(text, "afterclick_{name}_sum {sum}\nafterclick_{name}_count {total}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_ends_with_its_mark_and_holds_every_family() {
        let metrics = Metrics::default();
        metrics.ingested.inc();
        metrics.reject("signature_mismatch");
        metrics.attempts(OutcomeLabel::Retry, Some(FailureReason::Timeout), 1);
        metrics.tried(20, Duration::from_millis(30));
        let lane = LaneFigures { name: "default/orders".to_owned(), pending: 3, oldest_due_seconds: 1.5 };
        let figures = Figures { commit_sizes: [1, 2, 0, 0, 0, 1], commit_size_sum: 400, ..Figures::default() };
        let text = metrics.render(Snapshot { lanes: vec![lane], figures, connections: 2 });
        for line in [
            "afterclick_events_ingested_total 1",
            "afterclick_requests_rejected_total{reason=\"signature_mismatch\"} 1",
            "afterclick_attempts_total{outcome=\"retry\",reason=\"timeout\"} 1",
            "afterclick_attempt_seconds_bucket{le=\"0.05\"} 1",
            "afterclick_batch_size_bucket{le=\"64.0\"} 1",
            "afterclick_backlog{destination=\"default/orders\"} 3",
            "afterclick_oldest_due_seconds{destination=\"default/orders\"} 1.5",
            "afterclick_commit_size_bucket{le=\"4\"} 3",
            "afterclick_commit_size_bucket{le=\"+Inf\"} 4",
            "afterclick_commit_size_count 4",
            "afterclick_connections 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    }
}
