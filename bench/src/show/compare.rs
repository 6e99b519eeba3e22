//! `compare`: two runs side by side, with ratios and their limits. Lists every difference between
//! the runs besides the server. Single runs have no interval, so the text draws no conclusion.

use std::fmt::{self, Display, Write};

use super::conditions::{self, Bearing, Condition};
use super::failure::Failure;
use super::names::names;
use super::output::print;
use super::results::{self, Figure};
use crate::args::CompareArguments;
use crate::outcome::Outcome;
use crate::text::figures::{self, NONE, maybe};

/// Reads both runs and prints the comparison.
pub(crate) fn compare(arguments: &CompareArguments) -> Result<(), Failure> {
    let paths = [&arguments.a, &arguments.b];
    let [a, b] = paths.map(|path| Outcome::read(path).map_err(Failure::Read));
    let (a, b) = (a?, b?);
    for (path, outcome) in paths.into_iter().zip([&a, &b]) {
        if outcome.verb == "duel" {
            let path = path.display();
            return Err(Failure::Unlike(format!(
                "{path}: a duel is already a comparison: see its output, or use `report`"
            )));
        }
        if !outcome.verdict.valid && !arguments.allow_invalid {
            let path = path.display();
            let why = reasons(outcome);
            return Err(Failure::Invalid(format!(
                "{path}: marked INVALID, so the figures may show the client rather than the \
                 server: {why}; use --allow-invalid to compare anyway"
            )));
        }
    }
    let names = names(&paths.map(Clone::clone));
    let [name_a, name_b] = [&names[0], &names[1]];
    let comparison = Comparison {
        a: (name_a, &a),
        b: (name_b, &b),
    };
    let printed = print(&comparison.to_string());
    printed.map_err(|error| Failure::Write("-".into(), error))
}

fn reasons(outcome: &Outcome) -> String {
    let reasons = outcome.verdict.reasons.iter();
    let reasons: Vec<&str> = reasons.map(|reason| reason.message.as_str()).collect();
    reasons.join("; ")
}

/// Two named runs.
struct Comparison<'a> {
    a: (&'a str, &'a Outcome),
    b: (&'a str, &'a Outcome),
}

/// A condition with different values.
struct Difference {
    name: &'static str,
    bearing: Bearing,
    a: String,
    b: String,
}

impl Display for Comparison<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (letter, (name, outcome)) in [('A', self.a), ('B', self.b)] {
            writeln!(f, "{letter}: {}", clean(name))?;
            writeln!(f, "   {}", clean(&conditions::command(outcome)))?;
        }
        writeln!(f)?;
        let differences = self.differences();
        let comparable = differences.iter().all(|one| one.bearing != Bearing::Kind);
        self.table(f, comparable)?;
        writeln!(f)?;
        print_differences(f, &differences)?;
        self.cautions(f)?;
        match comparable {
            true => f.write_str(
                "One run each: these ratios have no interval, and two runs of the same server \
                 differ too.\nRepeat both runs, or use `duel`, which alternates between the \
                 servers and reports an interval.\n",
            ),
            false => f.write_str("No ratios: the figures have different meanings.\n"),
        }
    }
}

impl Comparison<'_> {
    fn table(&self, f: &mut fmt::Formatter<'_>, comparable: bool) -> fmt::Result {
        let rows = results::figures(self.a.1)
            .into_iter()
            .zip(results::figures(self.b.1));
        let mut cells = vec![[
            "".to_owned(),
            "A".to_owned(),
            "B".to_owned(),
            "B / A".to_owned(),
        ]];
        let rows = rows.filter(|(a, b)| a.always || a.value.or(b.value).is_some());
        cells.extend(rows.map(|(a, b)| row(&a, &b, comparable)));
        let width = |column: usize| {
            let widths = cells.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or_default()
        };
        let widths = [0, 1, 2, 3].map(width);
        for row in &cells {
            write!(f, "{:<1$}", row[0], widths[0])?;
            for (cell, width) in row.iter().zip(widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }

    fn differences(&self) -> Vec<Difference> {
        let shown = |condition: &Condition| maybe(condition.value.as_deref(), clean);
        let pairs = conditions::conditions(self.a.1)
            .into_iter()
            .zip(conditions::conditions(self.b.1));
        pairs
            .filter(|(a, b)| a.value != b.value)
            .map(|(a, b)| Difference {
                name: a.name,
                bearing: a.bearing,
                a: shown(&a),
                b: shown(&b),
            })
            .collect()
    }

    /// Prints the reservations about each run.
    fn cautions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (letter, (_, outcome)) in [('A', self.a), ('B', self.b)] {
            if !outcome.verdict.valid {
                writeln!(f, "{letter} is INVALID: {}", clean(&reasons(outcome)))?;
            }
            if outcome.errors.total > 0 {
                let errors = figures::grouped(outcome.errors.total);
                writeln!(
                    f,
                    "{letter} had {errors} errors: failed messages are in no latency"
                )?;
            }
            if outcome.interrupted {
                writeln!(f, "{letter} was interrupted: its figures end at the signal")?;
            }
        }
        Ok(())
    }
}

fn row(a: &Figure, b: &Figure, comparable: bool) -> [String; 4] {
    let ratio = a.value.zip(b.value).filter(|(a, _)| comparable && *a > 0.0);
    let show = |figure: &Figure| maybe(figure.value, |value| figure.unit.show(value));
    let ratio = maybe(ratio, |(a, b)| figures::ratio(b / a));
    let ratio = match comparable {
        true => ratio,
        false => NONE.to_owned(),
    };
    [a.name.to_owned(), show(a), show(b), ratio]
}

/// Prints the differences, the most important first.
fn print_differences(f: &mut fmt::Formatter<'_>, differences: &[Difference]) -> fmt::Result {
    for (bearing, words) in [
        (
            Bearing::Kind,
            "NOT COMPARABLE: the figures have different meanings",
        ),
        (Bearing::Load, "DIFFERENT LOADS, which affects every figure"),
        (
            Bearing::Machine,
            "Different machines, or a different state of the machine",
        ),
    ] {
        let mut these = differences
            .iter()
            .filter(|one| one.bearing == bearing)
            .peekable();
        if these.peek().is_none() {
            continue;
        }
        writeln!(f, "{words}:")?;
        for one in these {
            writeln!(f, "  {}: {} and {}", one.name, one.a, one.b)?;
        }
        writeln!(f)?;
    }
    Ok(())
}

/// Text from a file, without control characters that a terminal would execute.
fn clean(text: &str) -> String {
    let mut clean = String::new();
    for part in text.chars() {
        match part.is_control() {
            true => _ = write!(clean, "{}", part.escape_default()),
            false => clean.push(part),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(clean("a\u{1b}[2Jé"), r"a\u{1b}[2Jé");
    }
}
