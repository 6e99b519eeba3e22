//! CPU time, memory and threads of the server's process, from Linux's `/proc`. On other systems the
//! first read fails, before the load starts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

/// The unit of `/proc/PID/stat`: `USER_HZ`, 100 a second on every architecture of corelane.
const TICK: Duration = Duration::from_millis(10);

/// A process on this machine.
#[derive(Clone, Debug)]
pub(crate) struct ServerProcess {
    pub(crate) pid: u32,
    /// The last known CPU time of each thread, in nanoseconds. Keeps the time of threads that have
    /// ended.
    threads: BTreeMap<u32, u64>,
}

/// The resource use of the process up to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// User and system time of all its threads.
    pub(crate) cpu: Duration,
    /// Resident set size. Socket buffers belong to the kernel and are not part of it.
    pub(crate) rss_bytes: u64,
    /// Number of threads.
    pub(crate) threads: u32,
}

impl ServerProcess {
    pub(crate) fn new(pid: u32) -> Self {
        Self {
            pid,
            threads: BTreeMap::new(),
        }
    }

    /// Reads `/proc`. CPU time has nanoseconds where the kernel counts them a thread (`schedstat`),
    /// else ticks.
    ///
    /// # Errors
    ///
    /// If the process does not exist or belongs to another user, or without `/proc`.
    pub(crate) fn cost(&mut self) -> io::Result<Cost> {
        let (stat, status) = (self.read("stat")?, self.read("status")?);
        let fine = self.look_at_threads();
        ticks(&stat)
            .zip(number(&status, "VmRSS:"))
            .map(|(coarse, kib)| Cost {
                cpu: fine.unwrap_or(coarse),
                rss_bytes: kib * 1024,
                threads: number(&status, "Threads:").map_or(0, narrow),
            })
            .ok_or_else(|| io::Error::other("its /proc files are not those of a running process"))
    }

    fn read(&self, file: &str) -> io::Result<String> {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
    }

    fn look_at_threads(&mut self) -> Option<Duration> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).ok()?;
        for task in tasks.flatten() {
            let id = task.file_name().to_str().and_then(|id| id.parse().ok());
            let text = fs::read_to_string(task.path().join("schedstat")).ok();
            // A thread that ended in between keeps its last time.
            if let (Some(id), Some(nanos)) = (id, text.as_deref().and_then(on_cpu)) {
                let seen = self.threads.entry(id).or_default();
                *seen = nanos.max(*seen);
            }
        }
        let sum = self.threads.values().sum();
        (!self.threads.is_empty()).then(|| Duration::from_nanos(sum))
    }
}

/// The first field of `schedstat`: nanoseconds on a processor.
fn on_cpu(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// Fields 14 and 15 of `/proc/PID/stat` (proc_pid_stat(5)): user and system time. Field 2, the
/// name, may contain blanks and brackets, so the count starts at the last bracket.
fn ticks(stat: &str) -> Option<Duration> {
    let (_, behind_name) = stat.rsplit_once(") ")?;
    let mut fields = behind_name.split(' ').skip(14 - 3);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(TICK * ticks()?.checked_add(ticks()?)?)
}

/// A number of `/proc/PID/status`; memory is in KiB. A zombie has no memory.
fn number(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ServerProcess, number, on_cpu, ticks};

    #[test]
    fn reads_a_stat_line_whatever_the_name() {
        for name in ["corelane", "a b", "a) R 1 (b", "((("] {
            let stat = format!("7 ({name}) S 1 7 7 0 -1 4194560 9 0 0 0 123 45 0 0 20 0 3 0 99");
            assert_eq!(ticks(&stat), Some(Duration::from_millis(1680)), "{name}");
        }
        assert_eq!(ticks("7 (x) S 1"), None);
        assert_eq!(ticks(""), None);
    }

    #[test]
    fn reads_the_status() {
        let status = "Name:\tx\nVmHWM:\t 5000 kB\nVmRSS:\t    2048 kB\nThreads:\t12\n";
        assert_eq!(number(status, "VmRSS:"), Some(2048));
        assert_eq!(number(status, "Threads:"), Some(12));
        assert_eq!(number("Name:\tx\nState:\tZ (zombie)\n", "VmRSS:"), None);
        assert_eq!(on_cpu("5685668 17 3\n"), Some(5_685_668));
        assert_eq!(on_cpu(""), None);
    }

    #[test]
    fn the_time_of_ended_threads_is_kept() {
        let mut server = ServerProcess::new(std::process::id());
        let before = server.cost().unwrap();
        // The id of no living thread, so this entry stands for an ended thread.
        server.threads.insert(u32::MAX, 1_000_000_000_000);
        let after = server.cost().unwrap();
        assert!(after.cpu >= before.cpu + Duration::from_secs(1000));
        assert!(after.threads >= 1 && after.rss_bytes > 0, "{after:?}");
    }

    #[test]
    fn the_error_names_the_missing_process() {
        let error = ServerProcess::new(u32::MAX).cost().unwrap_err();
        assert!(
            error.to_string().starts_with("/proc/4294967295/stat: "),
            "{error}"
        );
    }
}
