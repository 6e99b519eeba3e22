//! What a process and a core have cost so far, from `/proc`. Reads only.

use std::fs;
use std::io;

/// CPU time of all threads of a process, in nanoseconds.
///
/// `schedstat` of each thread (Documentation/scheduler/sched-stats.rst), since `stat` counts in
/// ticks of 10 ms. A thread that runs at this moment is behind by up to a tick of the scheduler,
/// 4 ms here.
///
/// # Errors
/// There is no such process.
pub(crate) fn cpu_ns(pid: u32) -> io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end meanwhile.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
            continue;
        };
        sum += first_number(&text).unwrap_or(0);
    }
    Ok(sum)
}

/// Memory of a process that no file and no other process is behind: what it has asked for, in
/// bytes, from `smaps_rollup` (proc_pid_smaps(5)).
///
/// # Errors
/// There is no such process, or it is another user's.
pub(crate) fn own_bytes(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    Ok(own_kib(&text) * 1024)
}

fn own_kib(rollup: &str) -> u64 {
    let lines = rollup.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(name, _)| ["Pss_Anon", "Pss_Shmem"].contains(name))
        .filter_map(|(_, value)| first_number(value))
        .sum()
}

/// The processes that this one has started and that still are.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let text = text.unwrap_or_default();
    text.split_whitespace()
        .filter_map(|id| id.parse().ok())
        .collect()
}

/// Ticks that a core was busy, and all of its ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Core {
    busy: u64,
    all: u64,
}

impl Core {
    /// Looks now.
    ///
    /// # Errors
    /// There is no such core.
    pub(crate) fn now(core: usize) -> io::Result<Self> {
        let text = fs::read_to_string("/proc/stat")?;
        Self::parse(&text, core).ok_or_else(|| io::Error::other(format!("no core {core}")))
    }

    /// User, nice, system, idle, iowait, irq, softirq and steal of proc_stat(5).
    fn parse(stat: &str, core: usize) -> Option<Self> {
        let name = format!("cpu{core} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name))?;
        let ticks: Vec<u64> = line
            .split(' ')
            .take(8)
            .filter_map(|n| n.parse().ok())
            .collect();
        let all = ticks.iter().sum();
        Some(Self {
            busy: all - ticks.get(3)? - ticks.get(4)?,
            all,
        })
    }

    /// The share of the time since `before` in which it was busy.
    pub(crate) fn busy_since(self, before: Self) -> Option<f64> {
        let all = self.all.checked_sub(before.all).filter(|all| *all > 0)?;
        Some(float(self.busy.saturating_sub(before.busy)) / float(all))
    }
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// For figures of which a few digits are shown.
#[expect(clippy::cast_precision_loss, reason = "what is shown has few digits")]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::{Core, cpu_ns, own_bytes, own_kib};

    #[test]
    fn counts_own_memory_and_no_file() {
        let text = "00400000-7ff ---p 0 0 [rollup]\nRss: 900 kB\nPss: 800 kB\nPss_Anon:  100 kB\n\
                    Pss_File: 700 kB\nPss_Shmem:   4 kB\n";
        assert_eq!(own_kib(text), 104);
    }

    #[test]
    fn a_core_is_busy_but_for_idle_and_waiting() {
        let before = Core::parse("cpu  9 9\ncpu1 10 0 10 100 0 0 0 0 0 0\n", 1).unwrap();
        let after = Core::parse("cpu1 60 0 30 120 10 0 0 0 0 0\n", 1).unwrap();
        assert_eq!(after.busy_since(before), Some(0.7));
        assert_eq!(before.busy_since(before), None);
        assert_eq!(Core::parse("cpu0 1 1\n", 1), None);
    }

    #[test]
    fn this_process_has_cost_something() {
        let pid = std::process::id();
        assert!(cpu_ns(pid).unwrap() > 0);
        assert!(own_bytes(pid).unwrap() > 4096);
        assert!(cpu_ns(u32::MAX).is_err());
    }
}
