//! `health` of an `[[upstream]]`: how endpoints are checked, and what a bad endpoint loses.
//!
//! Read by `upstream`; carried out by the health checks of the control plane.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::effective::{Effective, Keys};
use super::health_rules::HealthRules;
use super::health_text::{self, Expect, Send};
use super::section::Section;
use super::value::{self, Value};

/// The `health` table of an `[[upstream]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    /// How an endpoint is checked; `None` for no checks; `upstream[].health.check`.
    pub check: Option<Check>,
    /// The port to check, 1 to 65535; `None` for the endpoint's own; `upstream[].health.port`.
    pub port: Option<u16>,
    /// From the begin of a check to the begin of the next, 100 ms to 24 h;
    /// `upstream[].health.interval`.
    pub interval: Duration,
    /// The same while the results contradict the verdict, and before the first verdict; at most
    /// `interval`; `upstream[].health.fast_interval`.
    pub fast_interval: Duration,
    /// For the connect and the answer together, 10 ms to 10 min; `upstream[].health.timeout`.
    pub timeout: Duration,
    /// Good checks in a row that bring an endpoint up, 1 to 1000; `upstream[].health.rise`.
    pub rise: u32,
    /// Bad checks in a row that take an endpoint down, 1 to 1000; `upstream[].health.fall`.
    pub fall: u32,
    /// What follows from the health of endpoints.
    pub rules: HealthRules,
}

/// A kind of check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Check {
    /// The endpoint's system accepts a connection.
    Connect,
    /// The endpoint answers bytes with bytes.
    SendExpect { send: Send, expect: Expect },
    /// The answer to PING.
    Redis,
    /// The answer to a startup message of this user.
    Postgres { user: String },
    /// The greeting, and the answer to a login of this user.
    Mysql { user: String },
    /// The status of the answer to a GET.
    Http {
        path: String,
        /// The name in the header; `None` for the endpoint's address.
        host: Option<String>,
        /// The good statuses, 100 to 599.
        status: Vec<RangeInclusive<u16>>,
    },
}

/// How to write the table.
pub(super) const WRITE: &str = "e.g. health = { check = \"connect\" }";

/// The words, read before the keys of the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Off,
    Connect,
    SendExpect,
    Redis,
    Postgres,
    Mysql,
    Http,
}

const WORDS: &[(&str, Word)] = &[
    ("off", Word::Off),
    ("connect", Word::Connect),
    ("send_expect", Word::SendExpect),
    ("redis", Word::Redis),
    ("postgres", Word::Postgres),
    ("mysql", Word::Mysql),
    ("http", Word::Http),
];

/// nginx's default. HAProxy's 2 s mean more load for the endpoints.
const INTERVAL: Duration = Duration::from_secs(5);
/// With `fall` = 3, a dead endpoint is left within some 7 s.
const FAST_INTERVAL: Duration = Duration::from_secs(1);
/// Linux repeats a lost SYN after 1 s: one lost packet is no failure.
const TIMEOUT: Duration = Duration::from_secs(2);
/// More checks a second are load, not knowledge.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const DAY: Duration = Duration::from_hours(24);
const TIMEOUT_MIN: Duration = Duration::from_millis(10);
const TIMEOUT_MAX: Duration = Duration::from_mins(10);
/// With the fastest interval more than a minute.
const STREAK_MAX: u32 = 1000;
/// A user of the probes that need one.
const USER: &str = "corelane";
/// Identifiers of PostgreSQL have 63 bytes, users of MySQL 32 characters.
const USER_BYTES_MAX: usize = 63;
const HTTP_BYTES_MAX: usize = 1024;
const STATUS: RangeInclusive<u16> = 100..=599;
/// nginx and HAProxy take redirects for good answers, too.
const STATUS_GOOD: RangeInclusive<u16> = 200..=399;

impl Health {
    /// Of an upstream without the table.
    pub(super) const DEFAULT: Self = Self {
        check: None,
        port: None,
        interval: INTERVAL,
        fast_interval: FAST_INTERVAL,
        timeout: TIMEOUT,
        rise: 2,
        fall: 3,
        rules: HealthRules::DEFAULT,
    };

    /// Whether endpoints are judged at all.
    pub(crate) fn is_on(&self) -> bool {
        self.check.is_some() || self.rules.eject.is_some()
    }

    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let word = value::word("a check", WORDS);
        let word = section.optional("check", Word::Off, word);
        let check = check(section, word);
        let port = value::integer(1..=u16::MAX, "a TCP port has 16 bits");
        let port = section.optional("port", None, value::unless("same", port));
        let why = "more is load for the endpoints, less finds nothing in time";
        let interval = value::duration(INTERVAL_MIN..=DAY, why);
        let interval = section.optional("interval", INTERVAL, interval);
        let fast = value::duration(INTERVAL_MIN..=DAY, why);
        let fast = section.optional("fast_interval", FAST_INTERVAL, |value| {
            let fast = fast(value)?;
            match fast <= interval {
                true => Ok(fast),
                false => Err(value.senseless(
                    "longer than interval, which it shortens",
                    "interval or less",
                )),
            }
        });
        let timeout = value::duration(
            TIMEOUT_MIN..=TIMEOUT_MAX,
            "less fails over any network, and no client waits longer",
        );
        let streak = || value::integer(1..=STREAK_MAX, "more checks decide nothing in time");
        Self {
            check,
            port,
            interval,
            fast_interval: fast.min(interval),
            timeout: section.optional("timeout", TIMEOUT, timeout),
            rise: section.optional("rise", Self::DEFAULT.rise, streak()),
            fall: section.optional("fall", Self::DEFAULT.fall, streak()),
            rules: HealthRules::read(section),
        }
    }

    /// The keys with a meaning for the check.
    pub(super) fn keys(&self) -> Keys {
        let Self {
            check,
            port,
            interval,
            fast_interval,
            timeout,
            rise,
            fall,
            rules,
        } = self;
        let word = check.as_ref().map_or(Word::Off, Check::word);
        let keys =
            Keys::default().on_reload("check", Effective::text(value::word_of(WORDS, &word)));
        let Some(check) = check else {
            return rules.write(keys, false);
        };
        let keys = check
            .write(keys)
            .on_reload("port", Effective::unless("same", *port, Effective::number))
            .on_reload("interval", Effective::duration(*interval))
            .on_reload("fast_interval", Effective::duration(*fast_interval))
            .on_reload("timeout", Effective::duration(*timeout))
            .on_reload("rise", Effective::number(*rise))
            .on_reload("fall", Effective::number(*fall));
        rules.write(keys, true)
    }
}

impl Check {
    fn word(&self) -> Word {
        match self {
            Self::Connect => Word::Connect,
            Self::SendExpect { .. } => Word::SendExpect,
            Self::Redis => Word::Redis,
            Self::Postgres { .. } => Word::Postgres,
            Self::Mysql { .. } => Word::Mysql,
            Self::Http { .. } => Word::Http,
        }
    }

    /// The keys that this kind of check has a use for, besides those of every check.
    pub(super) fn own_keys(check: Option<&Self>) -> &'static [&'static str] {
        match check {
            None | Some(Self::Connect | Self::Redis) => &[],
            Some(Self::SendExpect { .. }) => &["send", "expect"],
            Some(Self::Postgres { .. } | Self::Mysql { .. }) => &["user"],
            Some(Self::Http { .. }) => &["path", "host", "status"],
        }
    }

    fn write(&self, keys: Keys) -> Keys {
        match self {
            Self::Connect | Self::Redis => keys,
            Self::SendExpect { send, expect } => keys
                .on_reload("send", Effective::text(send))
                .on_reload("expect", Effective::text(expect)),
            Self::Postgres { user } | Self::Mysql { user } => {
                keys.on_reload("user", Effective::text(user))
            }
            Self::Http { path, host, status } => {
                let status = status.iter().map(|of| match of.start() == of.end() {
                    true => of.start().to_string(),
                    false => format!("{}-{}", of.start(), of.end()),
                });
                keys.on_reload("path", Effective::text(path))
                    .on_reload(
                        "host",
                        Effective::unless("endpoint", host.as_deref(), Effective::text),
                    )
                    .on_reload("status", Effective::texts(status))
            }
        }
    }
}

/// The keys that belong to single kinds of checks.
pub(super) const KEYS_OF_CHECKS: [&str; 6] = ["send", "expect", "user", "path", "host", "status"];

fn check(section: &mut Section<'_>, word: Word) -> Option<Check> {
    let send = section.optional("send", Send::Nothing, health_text::send);
    let expect = section.optional("expect", Expect::Anything, health_text::expect);
    let user = section.optional("user", USER.to_owned(), user);
    let path = section.optional("path", "/".to_owned(), path);
    let host = section.optional("host", None, value::unless("endpoint", host));
    let status = section.optional("status", vec![STATUS_GOOD], statuses);
    Some(match word {
        Word::Off => return None,
        Word::Connect => Check::Connect,
        Word::SendExpect => Check::SendExpect { send, expect },
        Word::Redis => Check::Redis,
        Word::Postgres => Check::Postgres { user },
        Word::Mysql => Check::Mysql { user },
        Word::Http => Check::Http { path, host, status },
    })
}

type Read<T> = Result<T, super::errors::Reported>;

fn user(value: &Value<'_>) -> Read<String> {
    match value.text() {
        Some(text)
            if (1..=USER_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control) =>
        {
            Ok(text.to_owned())
        }
        _ => Err(value.malformed("a user of a database", "1 to 63 bytes, in quotes")),
    }
}

/// Bytes of a request's line or header.
fn is_plain(text: &str) -> bool {
    (1..=HTTP_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn path(value: &Value<'_>) -> Read<String> {
    match value.text() {
        Some(text) if text.starts_with('/') && is_plain(text) => Ok(text.to_owned()),
        _ => Err(value.malformed(
            "a path",
            "one that begins with /, without spaces, in quotes",
        )),
    }
}

fn host(value: &Value<'_>) -> Read<String> {
    match value.text() {
        Some(text) if is_plain(text) => Ok(text.to_owned()),
        _ => Err(value.malformed("a host", "a name without spaces, in quotes")),
    }
}

/// Numbers and ranges of statuses, at least one.
fn statuses(value: &Value<'_>) -> Read<Vec<RangeInclusive<u16>>> {
    const WRITE: &str = "[200, \"300-399\"]";
    let elements = value.elements("a list of statuses", WRITE)?;
    if elements.is_empty() {
        return Err(value.senseless("no answer would be good", WRITE));
    }
    value::all(&elements, |element| {
        let Some(text) = element.text() else {
            let one = value::integer(STATUS, "a status of HTTP has three digits")(element)?;
            return Ok(one..=one);
        };
        let number = |text: &str| text.parse().ok().filter(|of| STATUS.contains(of));
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Ok(first..=last),
            _ => Err(element.malformed("a range of statuses", "e.g. \"200-299\"")),
        }
    })
}
