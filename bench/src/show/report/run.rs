//! A run in a report, with its histograms unpacked.

use hdrhistogram::Histogram;

use crate::outcome::{Distribution, Outcome, TargetResults, Unreadable};

/// A run: its results and its name in the report.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
    /// Latency from the due time.
    pub(crate) intended: Option<Histogram<u64>>,
    pub(crate) service: Option<Histogram<u64>>,
    pub(crate) connect: Option<Histogram<u64>>,
    pub(crate) lateness: Option<Histogram<u64>>,
    /// The targets of a duel, each as a run.
    pub(crate) sides: Vec<Self>,
}

impl Run {
    /// The runs to draw: of a duel its two targets, else the run itself.
    pub(crate) fn drawn(&self, alone: bool) -> Vec<Self> {
        let mut drawn = self.sides.clone();
        if drawn.is_empty() {
            return vec![self.clone()];
        }
        if !alone {
            for side in &mut drawn {
                side.name = format!("{}, {}", self.name, side.name);
            }
        }
        drawn
    }

    /// Latency from the due time in an open loop, service time in a closed loop.
    pub(crate) fn first(&self) -> Option<&Histogram<u64>> {
        self.intended.as_ref().or(self.service.as_ref())
    }

    /// Unpacks the histograms of a run.
    ///
    /// # Errors
    ///
    /// If a histogram is damaged.
    pub(crate) fn new(name: String, outcome: Outcome) -> Result<Self, Unreadable> {
        let open = |times: &Option<Distribution>| {
            let histogram = times.as_ref().map(|times| times.histogram.open());
            histogram.transpose()
        };
        Ok(Self {
            intended: open(&outcome.latency.intended)?,
            service: open(&outcome.latency.service)?,
            connect: open(&outcome.latency.connect)?,
            lateness: open(&outcome.lateness)?,
            sides: sides(&outcome)?,
            name,
            outcome,
        })
    }
}

/// The targets of a duel with their names; empty for other verbs.
fn sides(outcome: &Outcome) -> Result<Vec<Run>, Unreadable> {
    let duel = outcome.duel.as_ref();
    let Some((duel, sides)) = duel.and_then(|duel| Some((duel, duel.sides.as_ref()?))) else {
        return Ok(Vec::new());
    };
    let side = |(place, side): (usize, &TargetResults)| {
        let mut own = outcome.clone();
        own.duel = None;
        own.target = duel.targets[place].clone();
        own.totals = side.totals.clone();
        own.latency = side.latency.clone();
        own.lateness.clone_from(&side.lateness);
        own.server.clone_from(&side.server);
        own.generator = side.generator.clone();
        Run::new(duel.names()[place].to_owned(), own)
    };
    sides.iter().enumerate().map(side).collect()
}
