//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, Parser};

/// The socket of the package.
const PACKAGED: &str = "/run/corelane/control.sock";

/// The live view of a running corelane server.
#[derive(Debug, Parser)]
#[command(
    version,
    name = "corelane-top",
    after_help = "Exit codes: 0 left by a key; 1 the terminal cannot be used; 2 wrong arguments, \
                  or no connection to the server"
)]
pub(crate) struct Arguments {
    /// The control socket; 'corelane top' takes control.socket of the configuration
    #[arg(long, value_name = "PATH", default_value = PACKAGED)]
    pub(crate) socket: PathBuf,
    /// The time between two looks at the server
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// The most sessions to read at a look; a filter finds the others
    #[arg(long, value_name = "NUMBER", default_value_t = 5000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) sessions: u32,
    /// The time to wait for a server that no longer answers, before the view ends
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) patience: Duration,
}

/// The command line's definition, for manual pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// A time of at least a tenth of a second: each look costs the server's control thread work.
fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        time if time < Duration::from_millis(100) => Err("write 100ms or more".to_owned()),
        time => Ok(time),
    }
}

/// A number and a unit: ms, s or m.
fn duration(text: &str) -> Result<Duration, String> {
    const FORM: &str = "write a number and a unit, as 500ms, 2s or 1m";
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or(FORM)?;
    let (number, unit) = text.split_at(unit_at);
    let number: u32 = number.parse().map_err(|_| FORM)?;
    let number = u64::from(number);
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number * 60)),
        _ => Err(FORM.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{command, duration, interval};

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("3m"), Ok(Duration::from_secs(180)));
        for wrong in ["", "5", "s", "5h", "-1s", "5 s", "99999999999s"] {
            assert!(duration(wrong).unwrap_err().contains("500ms"), "{wrong}");
        }
        assert_eq!(interval("99ms"), Err("write 100ms or more".to_owned()));
        assert_eq!(interval("100ms"), Ok(Duration::from_millis(100)));
    }
}
