//! `compare`: two runs side by side, with ratios and with what they are worth. It says what differs
//! between the runs besides the server, and claims nothing that one run each cannot show.

use std::fmt::{self, Display, Write};

use super::conditions::{self, Bearing, Condition};
use super::failure::Failure;
use super::names::names;
use super::output::print;
use super::results::{self, Figure};
use crate::args::CompareArguments;
use crate::outcome::Outcome;
use crate::text::figures::{self, NONE, maybe};

/// Reads both, and prints the comparison.
pub(crate) fn compare(arguments: &CompareArguments) -> Result<(), Failure> {
    let paths = [&arguments.a, &arguments.b];
    let [a, b] = paths.map(|path| Outcome::read(path).map_err(Failure::Read));
    let (a, b) = (a?, b?);
    for (path, outcome) in paths.into_iter().zip([&a, &b]) {
        if outcome.verb == "duel" {
            let path = path.display();
            return Err(Failure::Unlike(format!(
                "{path}: a duel, which is a comparison already: see what it printed, or report it"
            )));
        }
        if !outcome.verdict.valid && !arguments.allow_invalid {
            let path = path.display();
            let why = reasons(outcome);
            return Err(Failure::Invalid(format!(
                "{path}: marked INVALID, so its figures may be those of the client: {why}; \
                 --allow-invalid compares all the same"
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

/// Two runs, each with its name.
struct Comparison<'a> {
    a: (&'a str, &'a Outcome),
    b: (&'a str, &'a Outcome),
}

/// A condition that differs, and both of its values.
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
        told(f, &differences)?;
        self.cautions(f)?;
        match comparable {
            true => f.write_str(
                "One run each: these ratios have no interval. By how much two runs of one server \
                 differ here is\nnot known from them. Repeat both, or let `duel` take both servers \
                 in turn: it says between\nwhat the ratio lies.\n",
            ),
            false => f.write_str("No ratios: figures of different things have none.\n"),
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

    /// What speaks against one run or the other.
    fn cautions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (letter, (_, outcome)) in [('A', self.a), ('B', self.b)] {
            if !outcome.verdict.valid {
                writeln!(f, "{letter} is INVALID: {}", clean(&reasons(outcome)))?;
            }
            if outcome.errors.total > 0 {
                let errors = figures::grouped(outcome.errors.total);
                writeln!(
                    f,
                    "{letter} had {errors} errors: what failed is in none of its latencies"
                )?;
            }
            if outcome.interrupted {
                writeln!(
                    f,
                    "{letter} was interrupted: its figures are those up to then"
                )?;
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

/// The differences that bear on the figures, the gravest first.
fn told(f: &mut fmt::Formatter<'_>, differences: &[Difference]) -> fmt::Result {
    for (bearing, words) in [
        (
            Bearing::Kind,
            "NOT COMPARABLE: these are figures of different things",
        ),
        (
            Bearing::Load,
            "NOT THE SAME LOAD, which bears on every figure",
        ),
        (
            Bearing::Machine,
            "Not the same machine, or not in the same state",
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

/// What comes from a file, without what a terminal would obey.
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
    fn a_terminal_is_told_nothing_by_a_file() {
        assert_eq!(clean("a\u{1b}[2Jé"), r"a\u{1b}[2Jé");
    }
}
