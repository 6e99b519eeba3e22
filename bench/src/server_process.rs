//! What the server's process has cost so far, from Linux's `/proc`. Elsewhere reading it fails, and
//! says so before the load starts.

use std::fs;
use std::io;
use std::time::Duration;

/// The unit of `/proc/PID/stat`: `USER_HZ`, 100 a second on every architecture that corelane has.
const TICK: Duration = Duration::from_millis(10);

/// A process on this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerProcess {
    pub(crate) pid: u32,
}

/// What it has cost up to a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// User and system time of all its threads, those that have ended included.
    pub(crate) cpu: Duration,
    /// Memory that it has in use (resident set); socket buffers are the kernel's and not in it.
    pub(crate) rss_bytes: u64,
}

impl ServerProcess {
    /// Looks now.
    ///
    /// # Errors
    /// There is no such process, it is another user's, or there is no `/proc`.
    pub(crate) fn cost(self) -> io::Result<Cost> {
        let read = |file: &str| {
            let path = format!("/proc/{}/{file}", self.pid);
            fs::read_to_string(&path)
                .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        cpu(&stat)
            .zip(rss_bytes(&status))
            .map(|(cpu, rss_bytes)| Cost { cpu, rss_bytes })
            .ok_or_else(|| io::Error::other("its /proc files are not those of a running process"))
    }
}

/// Fields 14 and 15 of `/proc/PID/stat` (proc_pid_stat(5)), user and system time. The second
/// field, the name, may hold blanks and brackets: fields are counted from its last bracket.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, behind_name) = stat.rsplit_once(") ")?;
    let mut fields = behind_name.split(' ').skip(14 - 3);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(TICK * ticks()?.checked_add(ticks()?)?)
}

/// `VmRSS` of `/proc/PID/status`, which is in KiB. A zombie has none.
fn rss_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ServerProcess, cpu, rss_bytes};

    #[test]
    fn reads_a_stat_line_whatever_the_name() {
        for name in ["corelane", "a b", "a) R 1 (b", "((("] {
            let stat = format!("7 ({name}) S 1 7 7 0 -1 4194560 9 0 0 0 123 45 0 0 20 0 3 0 99");
            assert_eq!(cpu(&stat), Some(Duration::from_millis(1680)), "{name}");
        }
        assert_eq!(cpu("7 (x) S 1"), None);
        assert_eq!(cpu(""), None);
    }

    #[test]
    fn reads_the_resident_set() {
        let status = "Name:\tx\nVmHWM:\t 5000 kB\nVmRSS:\t    2048 kB\nRssAnon:\t 1 kB\n";
        assert_eq!(rss_bytes(status), Some(2 * 1024 * 1024));
        assert_eq!(rss_bytes("Name:\tx\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn says_which_process_there_is_not() {
        let error = ServerProcess { pid: u32::MAX }.cost().unwrap_err();
        assert!(
            error.to_string().starts_with("/proc/4294967295/stat: "),
            "{error}"
        );
    }
}
