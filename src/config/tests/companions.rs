//! Lines that a key needs beside it to have a meaning.

/// A key and its value.
type Line = (&'static str, &'static str);

/// The lines for a key of the table of this prefix; none if the key has a meaning alone.
pub(super) fn companions(prefix: &str, key: &str) -> &'static [Line] {
    match (prefix, key) {
        (_, "lifetime_jitter") => &[("timeouts.lifetime", "'1h'")],
        ("health", "check") => &[],
        ("health", "send" | "expect") => &[("health.check", "'send_expect'")],
        ("health", "user") => &[("health.check", "'mysql'")],
        ("health", "path" | "host" | "status") => &[("health.check", "'http'")],
        ("health", "eject_time" | "max_ejected") => &[("health.eject_after", "5")],
        ("health", "eject_time_max") => {
            &[("health.eject_after", "5"), ("health.eject_time", "'1s'")]
        }
        ("health", "drain_over") => &[("health.check", "'redis'"), ("health.on_down", "'drain'")],
        ("health", _) => &[("health.check", "'connect'")],
        (_, "drain_over") => &[("on_removed", "'drain'")],
        _ => &[],
    }
}
