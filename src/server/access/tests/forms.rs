//! The forms of a line, read by foreign readers.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::{Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};

use super::super::super::log_text::hidden;
use super::super::format::Formatter;
use super::super::line::{Clock, Event, Line, Live};
use super::super::message;
use super::table;
use crate::config::{AccessField, AccessFormat, AccessLog};
use crate::proxy::{EndReason, Ending, LegFacts};
use crate::runtime::{ErrorCode, PeerAddress, Time};

fn client() -> PeerAddress {
    PeerAddress::Inet("[2001:db8::1%7]:40000".parse().unwrap())
}

fn ending() -> Ending {
    Ending {
        endpoint: Some("10.0.0.1:80".parse().unwrap()),
        tries: 2,
        connect_us: Some(3),
        first_byte_us: None,
        total: Duration::from_micros(1_234_567),
        from_client: u64::MAX,
        to_client: 0,
        reason: EndReason::UpstreamRst,
        is_relayed: true,
        error: Some(ErrorCode::of(&io::Error::from_raw_os_error(104))),
        legs: [
            None,
            Some(LegFacts {
                rtt_us: 7,
                rtt_min_us: 5,
                retransmits: 1,
                delivery_rate: 9,
            }),
        ],
    }
}

fn line<'l>(listener: &'l str, upstream: Option<&'l str>, event: Event<'l>) -> Line<'l> {
    Line {
        // 2026-11-30T03:04:05.000678Z
        time_us: 1_796_007_845_000_678,
        session: 17,
        lane: 3,
        generation: 2,
        listener,
        service: "proxy",
        client: client(),
        upstream,
        event,
    }
}

fn written(format: AccessFormat, line: &Line<'_>) -> String {
    let mut out = Vec::new();
    Formatter::new(format).write(line, &mut out);
    String::from_utf8(out).unwrap()
}

/// The fields of an end, by the table of the documents.
const EXPECTED: &[(&str, &str)] = &[
    ("time", "2026-11-30T03:04:05.000678Z"),
    ("event", "end"),
    ("session", "17"),
    ("lane", "3"),
    ("generation", "2"),
    ("listener", "web"),
    ("service", "proxy"),
    ("client", "[2001:db8::1%7]:40000"),
    ("upstream", "app"),
    ("endpoint", "10.0.0.1:80"),
    ("tries", "2"),
    ("waited_us", "11"),
    ("connect_us", "3"),
    ("total_us", "1234567"),
    ("from_client_bytes", "18446744073709551615"),
    ("to_client_bytes", "0"),
    ("ended", "upstream_rst"),
    ("by", "upstream"),
    ("how", "reset"),
    ("phase", "relay"),
    ("error", "Connection reset by peer (os error 104)"),
    ("upstream_rtt_us", "7"),
    ("upstream_rtt_min_us", "5"),
    ("upstream_retransmits", "1"),
    ("upstream_delivery_rate", "9"),
];

#[test]
fn a_line_has_the_present_fields_in_order() {
    let ending = ending();
    let waited_us = 11;
    let line = line(
        "web",
        Some("app"),
        Event::End {
            waited_us,
            ending: &ending,
        },
    );
    let json: serde_json::Value =
        serde_json::from_str(&written(AccessFormat::Json, &line)).unwrap();
    let of_json: BTreeMap<String, String> = fields_of_json(&json);
    let expected = EXPECTED
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    assert_eq!(of_json, expected.clone().collect());
    assert!(
        json["from_client_bytes"].is_u64() && json["client"].is_string(),
        "{json}"
    );
    let logfmt = written(AccessFormat::Logfmt, &line);
    assert_eq!(fields_of_logfmt(&logfmt), expected.collect::<Vec<_>>());
    assert!(
        logfmt.contains(" error=\"Connection reset by peer (os error 104)\" "),
        "{logfmt}"
    );
}

#[test]
fn a_template_has_a_dash_for_an_absent_value() {
    let ending = ending();
    let line = line(
        "web",
        None,
        Event::End {
            waited_us: 0,
            ending: &ending,
        },
    );
    let AccessLog { format, .. } =
        table("format = '{client}>{upstream} {{{ended}}} {from_client_bytes}'");
    let expected = "[2001:db8::1%7]:40000>- {upstream_rst} 18446744073709551615";
    assert_eq!(written(format, &line), expected);
}

/// Starts and long sessions have fewer fields, and an echo has no tries.
#[test]
fn each_event_has_its_fields() {
    let keys = |line: &Line<'_>| {
        let json = serde_json::from_str(&written(AccessFormat::Json, line)).unwrap();
        fields_of_json(&json)
            .into_keys()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let start = line("e", None, Event::Start { waited_us: 1 });
    assert_eq!(
        keys(&start),
        "client event generation lane listener service session time waited_us"
    );
    let live = Live {
        endpoint: None,
        phase: "relay",
        total: Duration::from_secs(1),
        bytes: [9, 8],
        deltas: [1, 0],
    };
    assert_eq!(
        keys(&line("e", None, Event::Live(live))),
        "client event from_client_bytes from_client_delta_bytes generation lane listener phase \
         service session time to_client_bytes to_client_delta_bytes total_us"
    );
    let ending = ending();
    let end = line(
        "e",
        None,
        Event::End {
            waited_us: 0,
            ending: &ending,
        },
    );
    assert!(!keys(&end).contains("tries"));
}

fn fields_of_json(json: &serde_json::Value) -> BTreeMap<String, String> {
    let text = |value: &serde_json::Value| {
        let text = value.as_str().map(str::to_owned);
        text.unwrap_or_else(|| value.to_string())
    };
    let fields = json.as_object().unwrap().iter();
    fields
        .map(|(key, value)| (key.clone(), text(value)))
        .collect()
}

/// A reader of logfmt as kr/logfmt describes the form: pairs behind spaces, quoted values as JSON.
fn fields_of_logfmt(line: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (key, behind) = rest.split_once('=').unwrap();
        let (value, behind) = if behind.starts_with('"') {
            let mut values = serde_json::Deserializer::from_str(behind).into_iter::<String>();
            let value = values.next().unwrap().unwrap();
            let end = values.byte_offset();
            (value, &behind[end..])
        } else {
            let end = behind.find(' ').unwrap_or(behind.len());
            (behind[..end].to_owned(), &behind[end..])
        };
        fields.push((key.to_owned(), value));
        rest = behind.strip_prefix(' ').unwrap_or_else(|| {
            assert!(behind.is_empty(), "{line}");
            behind
        });
    }
    fields
}

/// Texts with the special characters of all forms.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = [
        "\"",
        "\\",
        "\n",
        "\r",
        "=",
        " ",
        "{",
        "}",
        "\0",
        "\u{1b}[2J",
        "\u{85}",
        "\u{2028}",
        "\u{202e}",
        "\\n",
        "\\u000a",
        "é",
        "\u{10ffff}",
        "a",
        "MESSAGE=x",
        "<13>",
    ];
    let piece = prop::sample::select(pieces.to_vec());
    let known = prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    prop_oneof![known, any::<String>()]
}

proptest! {
    /// The configuration checks names; names of later issues come from clients.
    #[test]
    fn every_value_survives_json_and_logfmt(listener in hostile(), upstream in hostile()) {
        let ending = ending();
        let event = Event::End { waited_us: 11, ending: &ending };
        let line = line(&listener, Some(&upstream), event);
        for (format, is_json) in [(AccessFormat::Json, true), (AccessFormat::Logfmt, false)] {
            let text = written(format, &line);
            assert!(!text.chars().any(hidden), "{text:?}");
            let fields: BTreeMap<String, String> = match is_json {
                true => fields_of_json(&serde_json::from_str(&text).unwrap()),
                false => fields_of_logfmt(&text).into_iter().collect(),
            };
            prop_assert_eq!(&fields["listener"], &listener);
            prop_assert_eq!(&fields["upstream"], &upstream);
            prop_assert_eq!(fields.len(), EXPECTED.len());
        }
        let mut entry = Vec::new();
        message::entry(&mut Formatter::new(AccessFormat::Json), &line, &mut entry);
        let entry = String::from_utf8(entry).unwrap();
        // Three lines in front, and a line for each field.
        prop_assert_eq!(entry.matches('\n').count(), 3 + EXPECTED.len());
    }

    #[test]
    fn times_are_those_of_another_calendar(
        second in 0..4_102_444_800_u64,
        micros in 0..1_000_000_u64,
    ) {
        let AccessLog { format, .. } = table("format = '{time}'");
        let mut line = line("e", None, Event::Start { waited_us: 0 });
        line.time_us = second * 1_000_000 + micros;
        let text = written(format, &line);
        let (date, rest) = text.split_once('T').unwrap();
        let days = date.split('-').map(|part| part.parse::<i64>().unwrap()).collect::<Vec<_>>();
        // The count of days by whole years and months.
        let is_leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let of_year = |year| if is_leap(year) { 366 } else { 365 };
        let mut count: i64 = (1970..days[0]).map(of_year).sum();
        let february = if is_leap(days[0]) { 29 } else { 28 };
        let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let months = months.iter().take(usize::try_from(days[1] - 1).unwrap());
        count += months.sum::<i64>() + days[2] - 1;
        prop_assert_eq!(u64::try_from(count).unwrap(), second / 86_400);
        let of_day = second % 86_400;
        let (hour, minute) = (of_day / 3600, of_day / 60 % 60);
        let time = format!("{hour:02}:{minute:02}:{:02}.{micros:06}Z", of_day % 60);
        prop_assert_eq!(rest, time);
    }
}

#[test]
fn an_entry_has_a_sentence_and_a_field_for_each_value() {
    let ending = ending();
    let line = line(
        "web",
        Some("app"),
        Event::End {
            waited_us: 11,
            ending: &ending,
        },
    );
    let mut entry = Vec::new();
    message::entry(&mut Formatter::new(AccessFormat::Json), &line, &mut entry);
    let entry = String::from_utf8(entry).unwrap();
    let begin = "PRIORITY=5\nSYSLOG_IDENTIFIER=corelane\nMESSAGE=session 17 of web: \
                 [2001:db8::1%7]:40000 to 10.0.0.1:80 ended upstream_rst after 1.2s, \
                 18446744073709551615 B in, 0 B out\n";
    let fields = EXPECTED
        .iter()
        .map(|(key, value)| format!("CORELANE_{}={value}\n", key.to_ascii_uppercase()));
    assert_eq!(entry, begin.to_owned() + &fields.collect::<String>());
}

/// RFC 3164, 4.1: the priority, the time with a space before a day of one digit, the tag, the text.
#[test]
fn a_datagram_is_of_rfc_3164() {
    let AccessLog { format, .. } = table("format = '{session}'");
    let mut of_day = line("web", None, Event::Start { waited_us: 0 });
    of_day.time_us -= 26 * 86_400_000_000;
    let mut out = Vec::new();
    message::datagram(&mut Formatter::new(format), &of_day, 99, &mut out);
    assert_eq!(out, b"<30>Nov  4 03:04:05 corelane[99]: 17");
}

#[test]
fn a_record_has_the_wall_clock_of_its_moment() {
    let wall = UNIX_EPOCH + Duration::from_secs(1000);
    let clock = Clock::new(Time::from_nanos(5_000_000_000), wall);
    let text = format!("{clock:?}");
    assert!(text.contains("1000000000"), "{text}");
}

/// The table of the documents has every field, in the order of a line.
#[test]
fn the_documents_have_every_field() {
    let docs = include_str!("../../../../docs/access-log.md");
    let (_, section) = docs.split_once("## Fields\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = rows.map(|row| row.split('`').next().unwrap());
    let fields = AccessField::all().iter().map(|(name, _)| *name);
    assert_eq!(names.collect::<Vec<_>>(), fields.collect::<Vec<_>>());
}

#[test]
fn an_address_is_shown_as_it_is_written() {
    for text in [
        "[::1]:7",
        "[fe80::1%3]:65535",
        "10.0.0.255:80",
        "0.0.0.0:0",
        "255.255.255.255:65535",
    ] {
        assert_eq!(shown_endpoint(text.parse().unwrap()), text);
    }
}

fn shown_endpoint(endpoint: SocketAddr) -> String {
    let ending = Ending {
        endpoint: Some(endpoint),
        ..ending()
    };
    let AccessLog { format, .. } = table("format = '{endpoint}'");
    let line = line(
        "e",
        None,
        Event::End {
            waited_us: 0,
            ending: &ending,
        },
    );
    written(format, &line)
}
