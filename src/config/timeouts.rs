//! `timeouts` of a `[[listener]]`: the time limits of a session.
//!
//! Read by `listener`. All limits are exact to a tick of the timer. A session that reaches a limit
//! ends in a reset, so that no peer takes a truncated stream for a complete stream.

use std::time::Duration;

use super::effective::{Effective, Keys};
use super::errors::Reported;
use super::section::Section;
use super::units;
use super::value::{self, Value};

/// The `timeouts` table of a `[[listener]]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// How long one endpoint may take to accept a connection, 1 ms to 10 min, before the next is
    /// tried; without a meaning for an echo; `listener[].timeouts.connect`.
    pub connect: Duration,
    /// How long all tries together may take, `connect` to 1 h; without a meaning for an echo;
    /// `listener[].timeouts.connect_total`.
    pub connect_total: Duration,
    /// How long a session may be without a byte in either direction, 100 ms to 365 days; `None`
    /// is for ever; `listener[].timeouts.idle`.
    pub idle: Option<Duration>,
    /// How long a half-closed session may be idle, 100 ms to 24 h. The limit cannot be switched
    /// off, because sessions whose second FIN never comes would accumulate;
    /// `listener[].timeouts.half_close`.
    pub half_close: Duration,
    /// How long a session may last, however busy it is, 100 ms to 365 days; `None` is for ever;
    /// `listener[].timeouts.lifetime`.
    pub lifetime: Option<Duration>,
    /// By how many percent of `lifetime` a session may end early, 0 to 50. The share is random, so
    /// that sessions of the same age do not end together; no meaning without a lifetime;
    /// `listener[].timeouts.lifetime_jitter`.
    pub lifetime_jitter: u8,
}

/// How to write the table.
pub(super) const WRITE: &str = "e.g. timeouts = { idle = \"1h\" }";

/// Linux repeats a SYN after 1 s (RFC 6298): one lost packet is survived, a dead endpoint soon
/// left.
const CONNECT: Duration = Duration::from_secs(3);
/// Three tries fit, and a client is answered before most give up.
const CONNECT_TOTAL: Duration = Duration::from_secs(10);
/// Envoy's default. Connections here are expected to last, and pools and brokers are silent for
/// longer than nginx's ten minutes. Keepalive finds a vanished peer in two minutes; this limit only
/// removes connections that both peers have forgotten.
const IDLE: Duration = Duration::from_hours(1);
/// A slip of the unit, "1us", would fail every connection.
const CONNECT_MIN: Duration = Duration::from_millis(1);
/// Linux gives up after some two minutes (tcp(7), `tcp_syn_retries`).
const CONNECT_MAX: Duration = Duration::from_mins(10);
/// Six tries of the longest duration.
const CONNECT_TOTAL_MAX: Duration = Duration::from_hours(1);
/// Some round trips are not much shorter.
const SESSION_MIN: Duration = Duration::from_millis(100);
/// Longer lifetimes are written as "off".
const SESSION_MAX: Duration = Duration::from_hours(365 * 24);
/// A half-closed peer may wait long for an answer, but no client waits for more than a day.
const HALF_CLOSE_MAX: Duration = Duration::from_hours(24);
/// With more, a lifetime would say little about how long a session lasts.
const JITTER_MAX: u8 = 50;

impl Timeouts {
    /// Reads the table; `connects` is whether the listener's service connects to an upstream.
    pub(super) fn read(section: &mut Section<'_>, connects: bool) -> Self {
        let (connect, connect_total) = connect(section, connects);
        let session = SESSION_MIN..=SESSION_MAX;
        let idle = value::unless(
            "off",
            value::duration(
                session.clone(),
                "less would end sessions that only wait for the network",
            ),
        );
        let idle = section.optional("idle", Some(IDLE), idle);
        let half_close = section.optional("half_close", Duration::from_mins(1), half_close);
        let lifetime = value::unless(
            "off",
            value::duration(session, "less would end sessions before they are of use"),
        );
        let lifetime = section.optional("lifetime", Ok(None), |value| Ok(lifetime(value)));
        Self {
            connect,
            connect_total,
            idle,
            half_close,
            lifetime: lifetime.unwrap_or(None),
            lifetime_jitter: lifetime_jitter(section, matches!(lifetime, Ok(None))),
        }
    }

    /// The keys; `connects` as in [`Self::read`].
    pub(super) fn keys(&self, connects: bool) -> Keys {
        let Self {
            connect,
            connect_total,
            idle,
            half_close,
            lifetime,
            lifetime_jitter,
        } = self;
        let or_off = |of: &Option<Duration>| Effective::unless("off", *of, Effective::duration);
        let jitter = Effective::percentage(*lifetime_jitter);
        Keys::default()
            .on_reload_if(connects, "connect", Effective::duration(*connect))
            .on_reload_if(
                connects,
                "connect_total",
                Effective::duration(*connect_total),
            )
            .on_reload("idle", or_off(idle))
            .on_reload("half_close", Effective::duration(*half_close))
            .on_reload("lifetime", or_off(lifetime))
            .on_reload_if(lifetime.is_some(), "lifetime_jitter", jitter)
    }
}

/// `connect` and `connect_total`, checked against each other.
fn connect(section: &mut Section<'_>, connects: bool) -> (Duration, Duration) {
    let whether = |value: &Value<'_>, instead| match connects {
        true => Ok(()),
        false => Err(value.senseless("an echo listener does not connect", instead)),
    };
    let one = value::duration(
        CONNECT_MIN..=CONNECT_MAX,
        "TCP itself gives up within minutes",
    );
    let connect = section.optional("connect", Ok(CONNECT), |value| {
        Ok(whether(value, "service = \"proxy\", or no connect").and_then(|()| one(value)))
    });
    let all = value::duration(
        CONNECT_MIN..=CONNECT_TOTAL_MAX,
        "no client waits longer for a connection",
    );
    let total = section.optional("connect_total", CONNECT_TOTAL, |value| {
        whether(value, "service = \"proxy\", or no connect_total")?;
        let total = all(value)?;
        match connect {
            Ok(connect) if connect > total => Err(value.senseless(
                "shorter than connect, which is for one try",
                format!("\"{}\" or more, or a shorter connect", units::show(connect)),
            )),
            _ => Ok(total),
        }
    });
    let connect = connect.unwrap_or(CONNECT);
    if connect > CONNECT_TOTAL
        && section.value("connect_total").is_none()
        && let Some(value) = section.value("connect")
    {
        let most = units::show(CONNECT_TOTAL);
        value.senseless(
            "longer than connect_total, which is for all tries",
            format!("\"{most}\" or less, or a longer connect_total than \"{most}\" too"),
        );
    }
    (connect, total)
}

fn half_close(value: &Value<'_>) -> Result<Duration, Reported> {
    if value.text() == Some("off") {
        let (min, max) = (units::show(SESSION_MIN), units::show(HALF_CLOSE_MAX));
        return Err(value.senseless(
            "sessions whose other end does not answer a FIN would pile up",
            format!("\"{min}\" to \"{max}\""),
        ));
    }
    value::duration(
        SESSION_MIN..=HALF_CLOSE_MAX,
        "less would cut off answers, more lets unanswered ends pile up",
    )(value)
}

/// `lifetime_jitter`, without a meaning if sessions have no lifetime.
fn lifetime_jitter(section: &mut Section<'_>, for_ever: bool) -> u8 {
    let percentage = value::percentage(
        0..=JITTER_MAX,
        "more would leave too little of the lifetime",
    );
    section.optional("lifetime_jitter", 10, |value| match for_ever {
        true => Err(value.senseless(
            "there is no lifetime that it could shorten",
            "a lifetime too, or no lifetime_jitter",
        )),
        false => percentage(value),
    })
}
