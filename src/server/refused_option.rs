//! The words for a socket option that the system refuses.

use std::io;

use crate::sys;

/// Why a socket refuses an option, and the remedy.
pub(super) fn refused_option(option: &str, error: &io::Error) -> String {
    match (option, error.kind()) {
        ("congestion", io::ErrorKind::NotFound) => {
            let known = sys::congestion_controls().unwrap_or_default().join(", ");
            format!(
                "the kernel has no congestion control of this name; load its module, or write one \
                 that it has: {known}"
            )
        }
        ("congestion", io::ErrorKind::PermissionDenied) => {
            "this user may not choose it; add it to net.ipv4.tcp_allowed_congestion_control, or \
             write \"auto\""
                .to_owned()
        }
        ("fast_open", io::ErrorKind::Unsupported) => {
            "the kernel does not allow it; add 1 to net.ipv4.tcp_fastopen for upstreams, 2 for \
             listeners, or write false"
                .to_owned()
        }
        _ => format!("the system refuses it: {error}; leave it out"),
    }
}
