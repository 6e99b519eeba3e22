//! Loads of several parts: the curve of a sweep and the rounds of a duel.

use serde::{Deserialize, Serialize};

use super::distribution::{Distribution, Percentiles};
use super::measures::{Generator, Latencies, Server, Totals};
use super::shape::Target;
use crate::stats::Interval;

/// A search for the highest rate that meets an objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// The objective: `p99<1ms`.
    pub slo: String,
    /// The highest rate of a successful step, in messages a second; `None` without one.
    pub knee: Option<f64>,
    /// The lowest rate of a failed step; `None` without one.
    pub broken_at: Option<f64>,
    /// Why the search ended, in words.
    pub ended: String,
    /// All steps in their order.
    pub steps: Vec<Step>,
}

/// One rate of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The rate in the plan, in messages a second.
    pub rate: f64,
    /// Replies a second.
    pub achieved: Option<f64>,
    /// Latency from the due time.
    pub latency: Percentiles,
    /// Service time.
    pub service: Percentiles,
    /// Number of attempts. A failed step is repeated; the other fields are of the last attempt.
    #[serde(default)]
    pub tries: u32,
    /// Whether the step met the objective, served the rate, and had no error.
    pub kept: bool,
    /// Why the step failed, in words.
    pub why: Option<String>,
    /// Whether the results are valid.
    pub valid: bool,
    /// Number of errors.
    pub errors: u64,
    /// The busiest lane's share of a core.
    pub generator_cores: Option<f64>,
    /// The server's CPU time for each message.
    pub server_cpu_per_message_ns: Option<f64>,
}

/// A comparison of two targets in alternating slices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Duel {
    /// A and B.
    pub targets: [Target; 2],
    /// The measured time of a slice.
    pub slice_ns: u64,
    /// The rounds, alternately A B B A and B A A B.
    pub rounds: Vec<Round>,
    /// The ratios of A and B.
    pub metrics: Vec<Metric>,
    /// The sums over all slices of A and of B.
    pub sides: Option<Box<[TargetResults; 2]>>,
}

impl Duel {
    /// The targets' names in every output.
    pub(crate) fn names(&self) -> [&str; 2] {
        self.targets
            .each_ref()
            .map(|target| target.name.as_deref().unwrap_or(&target.given))
    }
}

/// The sum over the slices of one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetResults {
    /// Counts.
    pub totals: Totals,
    /// Latencies.
    pub latency: Latencies,
    /// Send lateness; open loop only.
    pub lateness: Option<Distribution>,
    /// Resource use of the server's process.
    pub server: Option<Server>,
    /// Resource use of this program.
    pub generator: Generator,
}

/// The two slices of one target in one round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Messages a second.
    pub rate: Option<f64>,
    /// Latency: from the due time in an open loop, service time in a closed loop.
    pub latency: Percentiles,
    /// The server's CPU time for each message.
    pub cpu_per_message_ns: Option<f64>,
    /// The server's memory at the end.
    pub rss_bytes: Option<u64>,
    /// Number of errors.
    pub errors: u64,
}

/// One round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// The order of the slices: `ABBA` or `BAAB`.
    pub order: String,
    /// A's slices.
    pub a: Measure,
    /// B's slices.
    pub b: Measure,
}

/// The ratio of A and B for one figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// `rate`, `p50`, `p99`, `p99.9` or `cpu_per_message`.
    pub name: String,
    /// A divided by B, for each round with both values.
    pub ratios: Vec<f64>,
    /// The median of the ratios, with its interval of 95 % confidence.
    pub ratio: Option<Interval>,
    /// Whether more is better, as for the rate. For all other figures less is better.
    #[serde(default)]
    pub more_is_better: bool,
    /// The name of the better target; `None` if the interval contains 1.
    pub better: Option<String>,
    /// The result as a sentence: `new is better: it has 12.0 % less p99 than old`. `None` if the
    /// interval contains 1.
    pub words: Option<String>,
}

impl Metric {
    /// The name for people.
    pub(crate) fn called(&self) -> &str {
        match &*self.name {
            "cpu_per_message" => "CPU a message",
            name => name,
        }
    }

    /// Inverts ratios of B and A into ratios of A and B.
    pub(crate) fn turn_round(&mut self) {
        for ratio in &mut self.ratios {
            *ratio = 1.0 / *ratio;
        }
        self.ratio = self.ratio.map(|ratio| Interval {
            median: 1.0 / ratio.median,
            low: 1.0 / ratio.high,
            high: 1.0 / ratio.low,
        });
    }
}
