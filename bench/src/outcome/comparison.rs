//! Loads of several parts: a sweep's curve and a duel's rounds.

use serde::{Deserialize, Serialize};

use super::distribution::{Distribution, Percentiles};
use super::measures::{Generator, Latencies, Server, Totals};
use super::shape::Target;
use crate::stats::Interval;

/// A search for the highest rate that keeps an objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// The objective as given: `p99<1ms`.
    pub slo: String,
    /// The highest rate that kept it, in messages a second; `None` if none did.
    pub knee: Option<f64>,
    /// The lowest rate that did not; `None` if all did.
    pub broken_at: Option<f64>,
    /// Why it went no further, in words.
    pub ended: String,
    /// Every step in the order in which it was made.
    pub steps: Vec<Step>,
}

/// One rate of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Messages a second asked for.
    pub rate: f64,
    /// Messages a second that came back.
    pub achieved: Option<f64>,
    /// Latency from the intended time.
    pub latency: Percentiles,
    /// Service time.
    pub service: Percentiles,
    /// How often it was tried: one that did not keep the objective is tried again. The rest is of
    /// the last time.
    #[serde(default)]
    pub tries: u32,
    /// Whether the objective was kept, the rate achieved, and nothing failed.
    pub kept: bool,
    /// Why not, in words.
    pub why: Option<String>,
    /// Whether the numbers can be believed.
    pub valid: bool,
    /// ErrorCounts.
    pub errors: u64,
    /// The busiest lane's share of a core.
    pub generator_cores: Option<f64>,
    /// The server's CPU time for each message.
    pub server_cpu_per_message_ns: Option<f64>,
}

/// Two targets, in turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Duel {
    /// A and B.
    pub targets: [Target; 2],
    /// How long one slice was measured.
    pub slice_ns: u64,
    /// Each round: A B B A, the next B A A B.
    pub rounds: Vec<Round>,
    /// A against B.
    pub metrics: Vec<Metric>,
    /// All slices of A and all of B.
    pub sides: Option<Box<[TargetResults; 2]>>,
}

impl Duel {
    /// What the targets are called, everywhere alike.
    pub(crate) fn names(&self) -> [&str; 2] {
        self.targets
            .each_ref()
            .map(|target| target.name.as_deref().unwrap_or(&target.given))
    }
}

/// All that was measured of one of two targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetResults {
    /// Counts.
    pub totals: Totals,
    /// Latencies.
    pub latency: Latencies,
    /// How late messages were sent; open loop only.
    pub lateness: Option<Distribution>,
    /// What the server's process cost.
    pub server: Option<Server>,
    /// What the load cost this program.
    pub generator: Generator,
}

/// What was measured of one target in one round, its two slices together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Messages a second.
    pub rate: Option<f64>,
    /// Latency: from the intended time in an open loop, else service time.
    pub latency: Percentiles,
    /// The server's CPU time for each message.
    pub cpu_per_message_ns: Option<f64>,
    /// Its memory at the end.
    pub rss_bytes: Option<u64>,
    /// ErrorCounts.
    pub errors: u64,
}

/// One round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// The order of the slices: `ABBA` or `BAAB`.
    pub order: String,
    /// A's.
    pub a: Measure,
    /// B's.
    pub b: Measure,
}

/// A against B in one figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// `rate`, `p50`, `p99`, `p99.9` or `cpu_per_message`.
    pub name: String,
    /// A divided by B in each round in which both were measured.
    pub ratios: Vec<f64>,
    /// The median of them, and between what it lies with a confidence of 95 %.
    pub ratio: Option<Interval>,
    /// Whether more of it is better, as of the rate; of all else less is.
    #[serde(default)]
    pub more_is_better: bool,
    /// The name of the better target, when the interval allows to tell.
    pub better: Option<String>,
    /// In words, when the interval allows any: `new is better: 12.0 % less p99 than old`.
    pub words: Option<String>,
}

impl Metric {
    /// The name as people say it.
    pub(crate) fn called(&self) -> &str {
        match &*self.name {
            "cpu_per_message" => "CPU a message",
            name => name,
        }
    }

    /// Makes of B divided by A what A divided by B is.
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
