//! Lines as messages: entries of systemd's journal, and datagrams of syslog. Pure.

use std::io::Write;

use super::format::{Civil, Formatter, plain};
use super::line::{Event, Line, Value};
use crate::config::AccessField;

/// syslog(3): informational, and notice for an abnormal end.
const INFO: u8 = 6;
const NOTICE: u8 = 5;
/// The facility of daemons.
const DAEMON: u8 = 3 << 3;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

fn priority(line: &Line<'_>) -> u8 {
    if line.is_abnormal() { NOTICE } else { INFO }
}

/// The entry of a line: a message for people, and a field for each value.
pub(super) fn entry(formatter: &mut Formatter, line: &Line<'_>, out: &mut Vec<u8>) {
    let priority = priority(line);
    // Writing to memory does not fail.
    _ = write!(
        out,
        "PRIORITY={priority}\nSYSLOG_IDENTIFIER=corelane\nMESSAGE="
    );
    match formatter.is_template() {
        true => formatter.write(line, out),
        false => plain(&sentence(line), out),
    }
    out.push(b'\n');
    formatter.fields(line, |name, value| {
        out.extend_from_slice(b"CORELANE_");
        out.extend(name.bytes().map(|byte| byte.to_ascii_uppercase()));
        out.push(b'=');
        out.extend_from_slice(value);
        out.push(b'\n');
    });
}

/// What has happened, for people.
fn sentence(line: &Line<'_>) -> String {
    let (session, listener, client) = (line.session, line.listener, line.client);
    let to = match line.value(AccessField::Endpoint) {
        Some(Value::Address(endpoint)) => format!(" to {endpoint}"),
        _ => String::new(),
    };
    let what = match line.event {
        Event::Start { .. } => "started".to_owned(),
        Event::Live(live) => {
            let ([from, to], total) = (live.bytes, live.total);
            format!("goes on after {total:.0?}, {from} B in, {to} B out")
        }
        Event::End { ending, .. } => {
            let (word, total) = (ending.reason.word(), ending.total);
            let (from, to) = (ending.from_client, ending.to_client);
            format!("ended {word} after {total:.1?}, {from} B in, {to} B out")
        }
    };
    format!("session {session} of {listener}: {client}{to} {what}")
}

/// The datagram of a line by RFC 3164, in the form for a local daemon: without the name of
/// the machine. The time is UTC.
pub(super) fn datagram(formatter: &mut Formatter, line: &Line<'_>, pid: u32, out: &mut Vec<u8>) {
    let value = DAEMON | priority(line);
    let of = Civil::new(line.time_us / 1_000_000);
    let month = usize::try_from(of.month).unwrap_or(1) - 1;
    let (month, day, [hour, minute, second]) = (MONTHS[month], of.day, of.time);
    _ = write!(
        out,
        "<{value}>{month} {day:2} {hour:02}:{minute:02}:{second:02} corelane[{pid}]: "
    );
    formatter.write(line, out);
}
