//! TCP and CPU counters of the whole machine, from Linux's `/proc`.

use std::fs;

use crate::outcome;
use crate::stats::float;

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemCounters {
    listen_overflows: Option<u64>,
    listen_drops: Option<u64>,
    retransmits: Option<u64>,
    /// CPU ticks: total, and stolen by the hypervisor.
    ticks: Option<(u64, u64)>,
}

impl SystemCounters {
    /// Reads the counters.
    pub(crate) fn now() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (netstat, snmp) = (read("/proc/net/netstat"), read("/proc/net/snmp"));
        Self {
            listen_overflows: counter(&netstat, "TcpExt:", "ListenOverflows"),
            listen_drops: counter(&netstat, "TcpExt:", "ListenDrops"),
            retransmits: counter(&snmp, "Tcp:", "RetransSegs"),
            ticks: ticks(&read("/proc/stat")),
        }
    }

    /// The difference to an earlier reading.
    pub(crate) fn since(&self, before: &Self) -> outcome::System {
        let more = |now: Option<u64>, then: Option<u64>| {
            now.zip(then).map(|(now, then)| now.saturating_sub(then))
        };
        let steal = self.ticks.zip(before.ticks).and_then(|(now, then)| {
            let all = now.0.saturating_sub(then.0);
            let stolen = now.1.saturating_sub(then.1);
            (all > 0).then(|| 100.0 * float(stolen) / float(all))
        });
        outcome::System {
            listen_overflows: more(self.listen_overflows, before.listen_overflows),
            listen_drops: more(self.listen_drops, before.listen_drops),
            retransmits: more(self.retransmits, before.retransmits),
            steal_percent: steal,
        }
    }
}

/// A counter of `/proc/net/netstat` or `snmp`: a line of names, then a line of numbers.
fn counter(text: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(group));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let mut pairs = names.split_whitespace().zip(numbers.split_whitespace());
    pairs.find(|(known, _)| *known == name)?.1.parse().ok()
}

/// The first line of `/proc/stat` (proc_stat(5)): user, nice, system, idle, iowait, irq, softirq,
/// steal. The later fields are already part of user.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let numbers: Vec<u64> = line
        .split_whitespace()
        .take(8)
        .map(|number| number.parse().ok())
        .collect::<Option<_>>()?;
    Some((numbers.iter().sum(), *numbers.get(7)?))
}

#[cfg(test)]
mod tests {
    use super::{SystemCounters, counter, ticks};

    #[test]
    fn reads_what_linux_writes() {
        let text = "TcpExt: A ListenOverflows B\nTcpExt: 1 22 3\nIpExt: A\nIpExt: 9\n";
        assert_eq!(counter(text, "TcpExt:", "ListenOverflows"), Some(22));
        assert_eq!(counter(text, "IpExt:", "A"), Some(9));
        assert_eq!(counter(text, "TcpExt:", "Other"), None);
        assert_eq!(counter("", "TcpExt:", "A"), None);
        assert_eq!(
            ticks("cpu  1 2 3 4 5 6 7 8 100 100\ncpu0 1\n"),
            Some((36, 8))
        );
        assert_eq!(ticks("cpu  1 2 3\n"), None);
    }

    #[test]
    fn unknown_counters_have_no_difference() {
        let before = SystemCounters {
            listen_overflows: Some(5),
            listen_drops: None,
            retransmits: Some(1),
            ticks: Some((100, 10)),
        };
        let after = SystemCounters {
            listen_overflows: Some(8),
            listen_drops: Some(1),
            retransmits: Some(1),
            ticks: Some((300, 30)),
        };
        let system = after.since(&before);
        assert_eq!(system.listen_overflows, Some(3));
        assert_eq!((system.listen_drops, system.retransmits), (None, Some(0)));
        assert_eq!(system.steal_percent, Some(10.0));
    }
}
