//! Lines that a key needs beside it to have a meaning.

/// The line for a key of the table of this prefix; `None` if the key has a meaning alone.
pub(super) fn companion(prefix: &str, key: &str) -> Option<(&'static str, &'static str)> {
    Some(match (prefix, key) {
        (_, "lifetime_jitter") => ("timeouts.lifetime", "'1h'"),
        (_, "drain_over") => ("on_removed", "'drain'"),
        ("health", "check") => return None,
        ("health", "send" | "expect") => ("health.check", "'send_expect'"),
        ("health", "user") => ("health.check", "'mysql'"),
        ("health", "path" | "host" | "status") => ("health.check", "'http'"),
        ("health", _) => ("health.check", "'connect'"),
        _ => return None,
    })
}
