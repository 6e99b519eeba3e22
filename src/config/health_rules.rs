//! What follows from the health of endpoints: ejections by the failures of sessions, panic, slow
//! start, and the end of present sessions.
//!
//! Read by `health`.

use std::time::Duration;

use super::effective::{Effective, Keys};
use super::on_removed::OnRemoved;
use super::section::Section;
use super::value;

/// The rules of the `health` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HealthRules {
    /// How failures of sessions eject an endpoint; `None` for never;
    /// `upstream[].health.eject_after`.
    pub eject: Option<Ejection>,
    /// The share of a level's endpoints, in hundredths, below which all of them are used; `None`
    /// for never; `upstream[].health.panic_below`.
    pub panic_below: Option<u8>,
    /// How long the share of an endpoint that comes back grows, 1 s to 1 h; `None` for at once;
    /// `upstream[].health.slow_start`.
    pub slow_start: Option<Duration>,
    /// What becomes of present sessions of an endpoint that goes down;
    /// `upstream[].health.on_down` and `upstream[].health.drain_over`.
    pub on_down: OnRemoved,
}

/// The ejection of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ejection {
    /// Failures in a row, 1 to 1000.
    pub after: u32,
    /// The time of the first ejection, 1 s to 1 h; each further one takes twice the time.
    pub time: Duration,
    /// The longest time of an ejection, `time` to 24 h.
    pub time_max: Duration,
    /// The largest share of an upstream's endpoints to eject, in hundredths.
    pub share_max: u8,
}

const AFTER_MAX: u32 = 1000;
/// Envoy's default.
const TIME: Duration = Duration::from_secs(30);
const TIME_MAX: Duration = Duration::from_mins(5);
const SHARE_MAX: u8 = 50;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

impl HealthRules {
    /// Of an upstream without the table.
    pub(super) const DEFAULT: Self = Self {
        eject: None,
        panic_below: None,
        slow_start: None,
        on_down: OnRemoved::Keep,
    };

    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let panic = value::percentage(1..=100, "without a share, write \"off\"");
        let slow = value::duration(SECOND..=HOUR, "a longer start is a weight");
        Self {
            eject: eject(section),
            panic_below: section.optional("panic_below", None, value::unless("off", panic)),
            slow_start: section.optional("slow_start", None, value::unless("off", slow)),
            on_down: OnRemoved::read_as("on_down", section),
        }
    }

    /// Adds the keys; `has_checks` is whether endpoints can go down.
    #[must_use]
    pub(super) fn write(self, keys: Keys, has_checks: bool) -> Keys {
        let Self {
            eject,
            panic_below,
            slow_start,
            on_down,
        } = self;
        let after = eject.map(|of| of.after);
        let mut keys = keys.on_reload(
            "eject_after",
            Effective::unless("off", after, Effective::number),
        );
        if let Some(of) = eject {
            keys = keys
                .on_reload("eject_time", Effective::duration(of.time))
                .on_reload("eject_time_max", Effective::duration(of.time_max))
                .on_reload("max_ejected", Effective::percentage(of.share_max));
        }
        if eject.is_none() && !has_checks {
            return keys;
        }
        let keys = keys
            .on_reload(
                "panic_below",
                Effective::unless("off", panic_below, Effective::percentage),
            )
            .on_reload(
                "slow_start",
                Effective::unless("off", slow_start, Effective::duration),
            );
        match has_checks {
            true => on_down.write_as("on_down", keys),
            false => keys,
        }
    }
}

fn eject(section: &mut Section<'_>) -> Option<Ejection> {
    let after = value::integer(1..=AFTER_MAX, "more failures help nobody");
    let after = section.optional("eject_after", None, value::unless("off", after));
    let time = value::duration(SECOND..=HOUR, "a longer ejection is a drain");
    let time = section.optional("eject_time", TIME, time);
    let longest = value::duration(SECOND..=DAY, "a longer ejection is a drain");
    let time_max = section.optional("eject_time_max", TIME_MAX, |value| {
        let longest = longest(value)?;
        match longest >= time {
            true => Ok(longest),
            false => Err(value.senseless(
                "shorter than eject_time, the time of the first ejection",
                "eject_time or more",
            )),
        }
    });
    let share = value::percentage(1..=100, "without a share, write eject_after = \"off\"");
    let share_max = section.optional("max_ejected", SHARE_MAX, share);
    after.map(|after| Ejection {
        after,
        time,
        time_max: time_max.max(time),
        share_max,
    })
}
