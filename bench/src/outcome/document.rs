//! The document of one invocation, written and read as JSON.

use std::error::Error;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::comparison::{Duel, Metric, Sweep};
use super::distribution::Distribution;
use super::environment::Environment;
use super::judgement::{Threshold, Verdict};
use super::measures::{Errors, Generator, Latencies, Second, Server, System, Totals};
use super::server_metrics::ServerMetrics;
use super::shape::{Shape, Target};

/// The version of the document. Readers refuse later versions.
pub const SCHEMA: u32 = 2;

/// The results of one invocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The version of this document, [`SCHEMA`].
    pub schema: u32,
    /// The version of the program.
    pub corelane_bench: String,
    /// The command line without the program's name.
    pub arguments: Vec<String>,
    /// `run`, `sweep`, `churn`, `idle`, `bulk` or `duel`.
    pub verb: String,
    /// The start, in milliseconds since 1970 (UTC).
    pub started_unix_ms: u64,
    /// The machine.
    pub environment: Environment,
    /// The target of the load. Of a duel, target A; B is in [`Outcome::duel`].
    pub target: Target,
    /// The shape of the load.
    pub shape: Shape,
    /// Counts of the measured time; of a sweep or a duel, over all steps or slices.
    pub totals: Totals,
    /// Latencies of the measured time; of a sweep, of its best step; of a duel, of A.
    pub latency: Latencies,
    /// Send lateness: how much later each message left than from a client without delays. Open loop
    /// only.
    pub lateness: Option<Distribution>,
    /// The load over time, warm-up included. A row is one second, or more in a very long run.
    pub series: Vec<Second>,
    /// The first reply to a scripted request, as text with escapes, cut if long.
    pub first_reply: Option<String>,
    /// Resource use of the server's process.
    pub server: Option<Server>,
    /// What the server counted, with `--metrics`.
    pub server_metrics: Option<ServerMetrics>,
    /// Resource use of this program.
    pub generator: Generator,
    /// Counters of the whole machine.
    pub system: System,
    /// Errors of the connections.
    pub errors: Errors,
    /// The conditions of `--fail-if` with their results.
    pub thresholds: Vec<Threshold>,
    /// Whether the results are valid.
    pub verdict: Verdict,
    /// Whether a signal ended the load early.
    pub interrupted: bool,
    /// The curve, of a sweep.
    pub sweep: Option<Sweep>,
    /// The rounds, of a duel.
    pub duel: Option<Duel>,
}

impl Outcome {
    /// The JSON text, one key a line.
    ///
    /// # Panics
    ///
    /// Never: plain values with string keys can be written.
    #[must_use]
    pub fn json(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.expect("plain values with string keys can be written") + "\n"
    }

    /// Reads a file of results.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no document of results, or has a later version.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let refuse = |why: Why| ReadError {
            path: path.to_owned(),
            why,
        };
        let text = fs::read_to_string(path).map_err(|error| refuse(Why::Io(error)))?;
        Self::parse(&text).map_err(refuse)
    }

    pub(super) fn parse(text: &str) -> Result<Self, Why> {
        /// Parsed first, since a later version may lack the other keys.
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
        }
        let head: Head = serde_json::from_str(text).map_err(Why::Json)?;
        if head.schema > SCHEMA {
            return Err(Why::Later(head.schema));
        }
        let mut outcome: Self = serde_json::from_str(text).map_err(Why::Json)?;
        if head.schema < 2
            && let Some(duel) = &mut outcome.duel
        {
            // In schema 1 the ratios of a duel are B divided by A.
            duel.metrics.iter_mut().for_each(Metric::turn_round);
        }
        Ok(outcome)
    }
}

/// Why a file of results could not be read.
#[derive(Debug)]
pub struct ReadError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
pub(super) enum Why {
    Io(std::io::Error),
    Json(serde_json::Error),
    Later(u32),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.why {
            Why::Io(error) => write!(f, "cannot read {path}: {error}"),
            Why::Json(error) => write!(f, "{path}: not a result file of --json: {error}"),
            Why::Later(schema) => write!(
                f,
                "{path}: written by a later corelane-bench (schema {schema}, this one reads up to \
                 {SCHEMA})"
            ),
        }
    }
}

impl Error for ReadError {}

#[cfg(test)]
mod tests {
    use super::{Outcome, SCHEMA};

    #[test]
    fn a_later_document_is_refused() {
        let text = format!("{{\"schema\": {}}}", SCHEMA + 1);
        let why = Outcome::parse(&text).unwrap_err();
        assert!(matches!(why, super::Why::Later(_)), "{why:?}");
    }

    #[test]
    fn a_missing_key_is_named() {
        let super::Why::Json(error) = Outcome::parse("{\"schema\": 1}").unwrap_err() else {
            panic!("not read");
        };
        let text = error.to_string();
        assert!(text.starts_with("missing field `corelane_bench`"), "{text}");
    }
}
