//! What the system knows of a running server: its descriptors, memory and CPU time.

use std::fs;

use super::{PATIENCE, PIPES_MAX, Server, now, pause};

impl Server {
    /// What each of its descriptors is.
    fn open(&self) -> Vec<String> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap();
        entries
            .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
            .map(|what| what.display().to_string())
            .collect()
    }

    /// How many sockets it has.
    pub(crate) fn sockets(&self) -> usize {
        let sockets = self.open();
        sockets.iter().filter(|w| w.starts_with("socket:")).count()
    }

    /// Waits until it has so many sockets, and no more pipes than lanes keep for the next bulk
    /// transfer.
    pub(crate) fn until_sockets(&self, expected: usize) {
        let end = now() + PATIENCE;
        while self.sockets() != expected {
            assert!(now() < end, "not {expected}: {:#?}", self.open());
            pause();
        }
        let pipes = self.pipes();
        assert!(pipes <= 2 * PIPES_MAX + 3, "{pipes} ends of pipes");
    }

    /// How many ends of pipes it has.
    pub(crate) fn pipes(&self) -> usize {
        let open = self.open();
        open.iter().filter(|w| w.starts_with("pipe:")).count()
    }

    /// Resident memory, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }

    /// CPU time that the process has used, user and system; in ticks of 10 ms.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let field = |at: usize| fields[at - 3].parse::<u64>().unwrap();
        // Fields 14 and 15 of proc_pid_stat(5), counted from 1; the name is field 2.
        field(14) + field(15)
    }
}
