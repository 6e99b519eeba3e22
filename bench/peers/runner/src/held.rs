//! Connections that the runner itself holds, for what the load client has no verb for: a burst on
//! every connection of many, with a look at the server's memory before and after.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::process::Interrupt;

/// An answer that takes longer is lost.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How many bursts are under way at once.
const BURSTS_AT_ONCE: usize = 100;

/// Connections to one server, all open.
#[derive(Debug)]
pub(crate) struct Held {
    connections: Vec<TcpStream>,
}

impl Held {
    /// Opens them, and exchanges a byte on each, so that each is served.
    ///
    /// # Errors
    /// One is refused, or does not answer.
    pub(crate) fn open(address: &str, count: u32, interrupt: &Interrupt) -> io::Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..count {
            interrupt.check()?;
            let connection = TcpStream::connect(address)?;
            connection.set_read_timeout(Some(ANSWER_MAX))?;
            connection.set_write_timeout(Some(ANSWER_MAX))?;
            connections.push(connection);
        }
        let held = Self { connections };
        held.exchange(&[1], interrupt)?;
        Ok(held)
    }

    /// Sends these bytes on each, and reads them back, many at once.
    ///
    /// # Errors
    /// They do not come back as they were.
    pub(crate) fn exchange(&self, bytes: &[u8], interrupt: &Interrupt) -> io::Result<()> {
        let mut back = vec![0; bytes.len()];
        for group in self.connections.chunks(BURSTS_AT_ONCE) {
            interrupt.check()?;
            for mut connection in group {
                connection.write_all(bytes)?;
            }
            for mut connection in group {
                connection.read_exact(&mut back)?;
                if back != bytes {
                    return Err(io::Error::other("what came back is not what was sent"));
                }
            }
        }
        Ok(())
    }
}
