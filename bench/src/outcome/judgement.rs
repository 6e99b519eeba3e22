//! Judgements of the results: whether they are valid, and whether they meet the thresholds.

use serde::{Deserialize, Serialize};

/// A condition of `--fail-if` with its result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// The condition: `p99>2ms`.
    pub condition: String,
    /// The measured value in nanoseconds, messages a second, percent or a count; `None` if the
    /// sample does not support the figure.
    pub measured: Option<f64>,
    /// Whether the run failed because the condition is true. An unknown value fails too, lest it
    /// pass unnoticed.
    pub failed: bool,
}

/// Whether the results are valid.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// No reason speaks against the results.
    pub valid: bool,
    /// The reasons against the results.
    pub reasons: Vec<Reason>,
    /// Remarks on valid results.
    pub notes: Vec<String>,
}

/// A reason against the results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The kind of reason.
    pub doubt: Doubt,
    /// The reason in words, with figures.
    pub message: String,
}

/// The kinds of reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// Messages left late: more than a tenth of a percentile is send lateness.
    SendLateness,
    /// Open loop only: a lane used more than 85 % of a core, so the results show the client's
    /// limit.
    GeneratorSaturated,
    /// A lane waited for a CPU for more than a tenth of the measured time, or a hypervisor stole
    /// more than a tenth of the machine's CPU time.
    GeneratorStarved,
    /// No reply arrived in the measured time.
    NothingMeasured,
}
