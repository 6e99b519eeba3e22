//! Datagrams to systemd's journal, for one where standard error leads to it (systemd.exec(5),
//! `JOURNAL_STREAM`), and to a syslog daemon.
//!
//! Only the writing threads of the log and of the access log send.

use std::env;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

/// The journal's socket for entries with fields (systemd's JOURNAL_NATIVE_PROTOCOL).
const SOCKET: &str = "/run/systemd/journal/socket";
/// The time that a send waits for room in the journal's queue.
const SEND_PATIENCE: Duration = Duration::from_secs(1);
/// The size of a cut entry. Linux refuses datagrams above `net.core.wmem_default`, 208 KiB.
const CUT_BYTES: usize = 64 << 10;

/// Sends entries to the journal.
#[derive(Debug)]
pub(crate) struct JournalSocket {
    socket: UnixDatagram,
    journal: SocketAddr,
}

impl JournalSocket {
    /// The journal, if standard error leads there and the journal takes entries.
    pub(crate) fn of_stderr() -> Option<Self> {
        let stream = env::var("JOURNAL_STREAM").ok()?;
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned().ok()?);
        let stderr = stderr.metadata().ok()?;
        let is_journal = stream == format!("{}:{}", stderr.dev(), stderr.ino());
        is_journal.then(|| Self::of_system().ok())?
    }

    /// The journal of this system.
    ///
    /// # Errors
    /// No journal takes entries.
    pub(crate) fn of_system() -> io::Result<Self> {
        let journal = Self::open(Path::new(SOCKET))?;
        // An entry without a field: the journal drops it, and its absence is an error.
        journal.send(b"")?;
        Ok(journal)
    }

    /// A daemon that receives at this path; it need not be there yet.
    ///
    /// # Errors
    /// What socket(2) says.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let journal = SocketAddr::from_pathname(path)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_PATIENCE))?;
        Ok(Self { socket, journal })
    }

    /// Sends one entry, `FIELD=VALUE` a line. Of an entry that is too long, the first fields.
    ///
    /// # Errors
    /// What the system call says: `WouldBlock` for a queue that is full.
    pub(crate) fn send(&self, entry: &[u8]) -> io::Result<()> {
        match self.socket.send_to_addr(entry, &self.journal) {
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                let cut = &entry[..entry.len().min(CUT_BYTES)];
                let end = cut.iter().rposition(|byte| *byte == b'\n');
                let whole = &cut[..end.map_or(0, |end| end + 1)];
                self.socket.send_to_addr(whole, &self.journal).map(drop)
            }
            result => result.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::{env, fs, process};

    use super::{CUT_BYTES, JournalSocket};

    #[test]
    fn an_entry_that_is_too_long_keeps_its_first_fields() {
        let path = env::temp_dir().join(format!("corelane-journal-{}", process::id()));
        let journal = UnixDatagram::bind(&path).unwrap();
        let socket = JournalSocket::open(&path).unwrap();
        let entry = format!("PRIORITY=3\nMESSAGE=first\nLONG={}\n", "x".repeat(1 << 20));
        socket.send(entry.as_bytes()).unwrap();
        let mut bytes = vec![0; CUT_BYTES];
        let count = journal.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..count], b"PRIORITY=3\nMESSAGE=first\n");
        fs::remove_file(&path).unwrap();
    }
}
