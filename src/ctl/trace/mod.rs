//! `corelane ctl trace`: has the server record a trace, and answers from a trace who waited for
//! whom.
//!
//! `wire` reads the fields of Protocol Buffers, `replay` follows the events of each lane, `summary`
//! has the answers and `show` their text. Reads the files of this program alone, made on any
//! machine.

mod replay;
mod show;
mod summary;
#[cfg(test)]
mod tests;
mod wire;

use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use self::replay::replay;
use self::summary::Asked;
use super::arguments::{ReadTrace, Record};
use super::client::{Client, Failed};

/// The time of a recording without `--seconds`.
const SECONDS: u64 = 5;
/// The most bytes of a trace, for a MiB of the server's events: an event of 24 bytes becomes some
/// 30, and names come on top.
const BYTES_PER_MIB: u64 = 4 << 20;

/// Answers from a file; `None` if the command is about a server.
pub(super) fn read_file(read: &ReadTrace, as_json: bool) -> Option<Result<Vec<u8>, Failed>> {
    let ReadTrace::Summary {
        file, session, top, ..
    } = read;
    let file = file.as_deref()?;
    let asked = Asked {
        session: *session,
        top: *top,
    };
    Some(load(file).and_then(|trace| answer(&trace, asked, as_json)))
}

fn load(file: &Path) -> Result<Vec<u8>, Failed> {
    let of_file = |why: &dyn std::fmt::Display| {
        Failed::Unusable(format!("{} cannot be read: {why}", file.display()))
    };
    fs::read(file).map_err(|error| of_file(&error))
}

/// Has the server record, and returns the trace or what was asked of it.
pub(super) fn run(
    client: &Client,
    record: &Record,
    read: Option<&ReadTrace>,
    as_json: bool,
) -> Result<Vec<u8>, Failed> {
    let Some(ReadTrace::Summary {
        record,
        session,
        top,
        ..
    }) = read
    else {
        if io::stdout().is_terminal() {
            return Err(Failed::Unusable(
                "a trace is no text: write it to a file, corelane ctl trace > t.pftrace, or read \
                 corelane ctl trace summary --seconds 5"
                    .to_owned(),
            ));
        }
        return fetch(client, record);
    };
    let asked = Asked {
        session: *session,
        top: *top,
    };
    answer(&fetch(client, record)?, asked, as_json)
}

fn fetch(client: &Client, record: &Record) -> Result<Vec<u8>, Failed> {
    let seconds = record.seconds.unwrap_or(SECONDS);
    let body = json!({ "seconds": seconds, "mib": record.mib });
    let (time, most) = (Duration::from_secs(seconds), record.mib * BYTES_PER_MIB);
    client.fetch("POST", "/v1/trace", &body, time, most)
}

fn answer(trace: &[u8], asked: Asked, as_json: bool) -> Result<Vec<u8>, Failed> {
    let lanes = replay(trace).map_err(Failed::Unusable)?;
    let summary = summary::of(&lanes, asked);
    Ok(match as_json {
        true => format!("{summary:#}\n").into_bytes(),
        false => show::summary(&summary).into_bytes(),
    })
}
