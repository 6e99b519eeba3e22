//! The loads of several parts as people read them: a sweep's curve, a duel's rounds. Pure.

use std::fmt::{self, Formatter};

use super::Row;
use super::quantity::{Rounded, maybe};
use crate::outcome::{Duel, Sweep};
use crate::stats;

/// One line a step, then the knee.
pub(super) fn sweep(f: &mut Formatter<'_>, sweep: &Sweep) -> fmt::Result {
    for step in &sweep.steps {
        let why = match &step.why {
            None => "kept",
            Some(why) => why,
        };
        writeln!(
            f,
            "{:>10}/s    {:>10}/s back  {}  {why}",
            Rounded(step.rate).to_string(),
            maybe(step.achieved.map(Rounded)),
            Row(&step.latency),
        )?;
    }
    match sweep.knee {
        Some(knee) => writeln!(
            f,
            "{:<15}{} holds up to {}/s; {}",
            "knee",
            sweep.slo,
            Rounded(knee),
            sweep.ended
        ),
        None => writeln!(
            f,
            "{:<15}{} was not seen to hold; {}",
            "knee", sweep.slo, sweep.ended
        ),
    }
}

/// One line a figure: medians, the ratio and its interval, and words if there are any.
pub(super) fn duel(f: &mut Formatter<'_>, duel: &Duel) -> fmt::Result {
    let name = |place: usize| duel.targets[place].name.as_deref().unwrap_or("?");
    let (a, b) = (name(0), name(1));
    let rounds = duel.rounds.len();
    writeln!(f, "{:<15}{rounds} rounds, {b} divided by {a}", "ratios")?;
    for metric in &duel.metrics {
        let median = stats::median(&metric.ratios).map(|ratio| format!("{ratio:.3}"));
        let name = match &*metric.name {
            "cpu_per_message" => "CPU a message",
            name => name,
        };
        write!(f, "{name:<15}{}", maybe(median))?;
        if let Some(interval) = metric.ratio {
            write!(f, " ({:.3} to {:.3})", interval.low, interval.high)?;
        }
        match &metric.words {
            Some(words) => writeln!(f, "  {words}")?,
            None => writeln!(f, "  no difference can be told")?,
        }
    }
    Ok(())
}
