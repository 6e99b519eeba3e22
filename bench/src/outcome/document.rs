//! The document: everything that one invocation measured, and reading it back.

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
use super::shape::{Shape, Target};

/// The version of the document. Readers refuse a later one.
pub const SCHEMA: u32 = 2;

/// All that one invocation found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The version of this document, [`SCHEMA`].
    pub schema: u32,
    /// The version of the program that wrote it.
    pub corelane_bench: String,
    /// The command line without the program's name.
    pub arguments: Vec<String>,
    /// `run`, `sweep`, `churn`, `idle`, `bulk` or `duel`.
    pub verb: String,
    /// When it began, in milliseconds since 1970 (UTC).
    pub started_unix_ms: u64,
    /// Where it ran.
    pub environment: Environment,
    /// Whom the load was for. Of a duel, A; B is in [`Outcome::duel`].
    pub target: Target,
    /// What was asked for.
    pub shape: Shape,
    /// What was counted in the measured time. Of a sweep and a duel: over all steps and slices.
    pub totals: Totals,
    /// The latencies of the measured time. Of a sweep: of its best step; of a duel: of A.
    pub latency: Latencies,
    /// How much later each message was sent than a client would have that is never late; open loop
    /// only.
    pub lateness: Option<Distribution>,
    /// The run over time, the warm-up included; a row is one second, or more in a very long run.
    pub series: Vec<Second>,
    /// The first reply that came, as text with escapes and cut where it is long; of a load whose
    /// messages were given.
    pub first_reply: Option<String>,
    /// What the server's process cost.
    pub server: Option<Server>,
    /// What the load cost this program.
    pub generator: Generator,
    /// What the whole machine did meanwhile.
    pub system: System,
    /// What went wrong.
    pub errors: Errors,
    /// What `--fail-if` asked, and the answers.
    pub thresholds: Vec<Threshold>,
    /// Whether these numbers can be believed.
    pub verdict: Verdict,
    /// A signal ended it early.
    pub interrupted: bool,
    /// The curve, of a sweep.
    pub sweep: Option<Sweep>,
    /// The rounds, of a duel.
    pub duel: Option<Duel>,
}

impl Outcome {
    /// The JSON form, one key a line.
    ///
    /// # Panics
    /// Never: plain values with string keys can be written.
    #[must_use]
    pub fn json(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.expect("plain values with string keys can be written") + "\n"
    }

    /// Reads what [`Outcome::json`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read, is no such document, or is one of a later version.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let refuse = |why: Why| ReadError {
            path: path.to_owned(),
            why,
        };
        let text = fs::read_to_string(path).map_err(|error| refuse(Why::Io(error)))?;
        Self::parse(&text).map_err(refuse)
    }

    pub(super) fn parse(text: &str) -> Result<Self, Why> {
        /// Read first, since a later version need not have the other keys.
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
            // Until then a duel's ratios were B divided by A.
            duel.metrics.iter_mut().for_each(Metric::turn_round);
        }
        Ok(outcome)
    }
}

/// Why a file of results cannot be read.
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
            Why::Json(error) => write!(f, "{path}: not what --json writes: {error}"),
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
    fn a_later_document_is_refused_whatever_else_it_holds() {
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
