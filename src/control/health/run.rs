//! One check: connects, leads the dialogue of a probe, and leaves by FIN.
//!
//! A close with unread bytes is a reset, which servers log as an error. The check therefore sends a
//! FIN and reads until the endpoint's FIN, for a bounded time, with the verdict known before.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::outcome::{Kind, Outcome};
use super::probe::{ANSWER_BYTES_MAX, Probe, Step};
use super::watch::Watch;
use crate::sys::local::{TcpConnection, connect_tcp};

/// How long a check waits for the endpoint's FIN behind its own.
const LEAVE: Duration = Duration::from_secs(1);
const READ_BYTES: usize = 2048;

/// A check whose result is known and whose connection, if any, is not closed yet.
pub(super) struct Checked {
    pub(super) outcome: Outcome,
    connection: Option<TcpConnection>,
    farewell: &'static [u8],
}

impl Checked {
    fn without_connection(outcome: Outcome) -> Self {
        Self {
            outcome,
            connection: None,
            farewell: &[],
        }
    }

    /// Ends the connection by FIN.
    pub(super) async fn leave(self) {
        if let Some(mut connection) = self.connection {
            let leaving = leave(&mut connection, self.farewell);
            // Without an answer the close sends a FIN, too: nothing is unread.
            _ = timeout(LEAVE, leaving).await;
        }
    }
}

/// Checks an endpoint once, for at most the time of its configuration.
pub(super) async fn check(watch: &Watch, mut probe: Probe) -> Checked {
    let (to, limit) = (watch.to(), watch.health.timeout);
    let begun = tokio::time::Instant::now();
    let connected = timeout(limit, connect(watch, to)).await;
    let mut connection = match connected {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return Checked::without_connection(Outcome::of_connect(error)),
        Err(_) => {
            let reason = format!("no connection within {limit:?}");
            return Checked::without_connection(Outcome::bad(Kind::Timeout, reason));
        }
    };
    let mut answer = Vec::new();
    let left = limit.saturating_sub(begun.elapsed());
    let talked = timeout(left, talk(&mut connection, &mut probe, &mut answer)).await;
    let (outcome, farewell) = match talked {
        Ok(Ok(Ok(farewell))) => (Outcome::Good, farewell),
        Ok(Ok(Err((kind, reason)))) => (Outcome::bad(kind, reason), &[][..]),
        Ok(Err(error)) => {
            let reason = format!("the connection failed: {error}");
            (Outcome::bad(Kind::Ended, reason), &[][..])
        }
        Err(_) => {
            let what = match answer.len() {
                0 => "no answer",
                _ => "no end of the answer",
            };
            let reason = format!("{what} within {limit:?}");
            (Outcome::bad(Kind::Timeout, reason), &[][..])
        }
    };
    Checked {
        outcome,
        connection: Some(connection),
        farewell,
    }
}

async fn connect(watch: &Watch, to: SocketAddr) -> io::Result<TcpConnection> {
    connect_tcp(watch.endpoint.socket(to)?, to).await
}

/// Leads the dialogue. Returns the farewell, or what is wrong with the answer.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut S,
    probe: &mut Probe,
    answer: &mut Vec<u8>,
) -> io::Result<Result<&'static [u8], (Kind, String)>> {
    connection.write_all(&probe.first()).await?;
    let mut is_ended = false;
    loop {
        match probe.step(answer, is_ended) {
            Step::Good { farewell } => return Ok(Ok(farewell)),
            Step::Bad(reason) => {
                let kind = if is_ended { Kind::Ended } else { Kind::Answer };
                return Ok(Err((kind, reason)));
            }
            Step::Send { bytes, taken } => {
                answer.drain(..taken);
                connection.write_all(&bytes).await?;
                continue;
            }
            Step::More => {}
        }
        let mut piece = [0; READ_BYTES];
        let room = ANSWER_BYTES_MAX
            .saturating_sub(answer.len())
            .clamp(1, READ_BYTES);
        match connection.read(&mut piece[..room]).await? {
            0 => is_ended = true,
            read => answer.extend(&piece[..read]),
        }
    }
}

async fn leave<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut S,
    farewell: &[u8],
) -> io::Result<()> {
    connection.write_all(farewell).await?;
    connection.shutdown().await?;
    let mut rest = [0; READ_BYTES];
    while connection.read(&mut rest).await? > 0 {}
    Ok(())
}
