//! What the kernel counts for this network namespace and this process, read when asked for.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// How many connections the kernel has dropped because a listener's backlog was full, all programs
/// of this network namespace together (`ListenOverflows` of `/proc/net/netstat`).
pub(crate) fn listen_overflows() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/net/netstat").ok()?;
    value(&text, "TcpExt:", "ListenOverflows")
}

/// How many segments of TCP the kernel has sent again, all programs of this network namespace
/// together (`RetransSegs` of `/proc/net/snmp`).
pub(crate) fn retransmits() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/net/snmp").ok()?;
    value(&text, "Tcp:", "RetransSegs")
}

/// The open descriptors of this process: one call, since the folder says its number from Linux 6.2
/// on (proc_pid_fd(5)). `None` before.
pub(crate) fn descriptors() -> Option<u64> {
    let open = fs::metadata("/proc/self/fd").ok()?.size();
    (open > 0).then_some(open)
}

/// Lines come in pairs with the same first word: names, then values.
fn value(text: &str, first: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(first));
    let (names, values) = (lines.next()?, lines.next()?);
    let place = names.split(' ').position(|known| known == name)?;
    values.split(' ').nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::{descriptors, listen_overflows, retransmits, value};

    #[test]
    fn values_are_found_by_their_names() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 22 333\n\
                    IpExt: InNoRoutes\nIpExt: 4\n";
        assert_eq!(value(text, "TcpExt:", "ListenOverflows"), Some(22));
        assert_eq!(value(text, "TcpExt:", "RetransSegs"), None);
        assert!(listen_overflows().is_some(), "this kernel counts them");
        assert!(retransmits().is_some(), "this kernel counts them");
    }

    #[test]
    fn open_descriptors_are_counted() {
        // Other tests open and close some meanwhile.
        let files: Vec<_> = (0..300).map(|_| File::open("/dev/null").unwrap()).collect();
        if let Some(open) = descriptors() {
            assert!(open >= files.len() as u64, "{open}");
        }
    }
}
