//! A question to one server: over UDP, and over TCP if the answer is too long for a datagram.
//!
//! No EDNS: 512 bytes hold 28 addresses, and a longer answer comes over TCP: every server has TCP,
//! and no fragment gets lost.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::message::{self, Answer, Question, Read};
use crate::control::random::random;
use crate::sys::local::{Datagrams, open_tcp};

/// The longest datagram without EDNS (RFC 1035, 4.2.1), and some more for generous servers.
const DATAGRAM_BYTES: usize = 4096;

/// Why a server gave no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// Nothing came in time.
    Silent(Duration),
    /// The system cannot send or receive.
    System(io::Error),
    /// In words.
    Refused(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(time) => write!(f, "no answer within {time:?}"),
            Self::System(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                f.write_str("no server listens there")
            }
            Self::System(error) => error.fmt(f),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Asks a server, within a time. A datagram may get lost: the question goes out twice.
pub(super) async fn ask(
    server: SocketAddr,
    question: &Question,
    limit: Duration,
) -> Result<Answer, Fault> {
    let asking = async {
        match by_udp(server, question, limit / 2).await? {
            Some(answer) => Ok(answer),
            None => by_tcp(server, question).await,
        }
    };
    let silent = |_| Err(Fault::Silent(limit));
    timeout(limit, asking).await.unwrap_or_else(silent)
}

/// The answer; `None` for a truncated one.
async fn by_udp(
    server: SocketAddr,
    question: &Question,
    again: Duration,
) -> Result<Option<Answer>, Fault> {
    let socket = Datagrams::to(server).await?;
    let (id, query) = query(question)?;
    let mut bytes = [0; DATAGRAM_BYTES];
    loop {
        socket.send(&query).await?;
        let answer = async {
            loop {
                let length = socket.receive(&mut bytes).await?;
                match message::read(&bytes[..length], id, question) {
                    Read::Answer(answer) => return Ok(Some(answer)),
                    Read::Truncated => return Ok(None),
                    Read::Failed(why) => return Err(Fault::Refused(why)),
                    Read::Alien => {}
                }
            }
        };
        if let Ok(answer) = timeout(again, answer).await {
            return answer;
        }
    }
}

async fn by_tcp(server: SocketAddr, question: &Question) -> Result<Answer, Fault> {
    let mut stream = open_tcp(server).await?;
    let (id, query) = query(question)?;
    let length = u16::try_from(query.len()).map_err(|_| unwritable(question))?;
    // In one segment: some servers read the length and the query at once.
    let bytes = [&length.to_be_bytes()[..], &query].concat();
    stream.write_all(&bytes).await?;
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes).await?;
    match message::read(&bytes, id, question) {
        Read::Answer(answer) => Ok(answer),
        Read::Failed(why) => Err(Fault::Refused(why)),
        Read::Truncated | Read::Alien => Err(Fault::Refused(
            "the server's answer over TCP is none to the question".to_owned(),
        )),
    }
}

fn query(question: &Question) -> Result<(u16, Vec<u8>), Fault> {
    let [low, high, ..] = random().to_le_bytes();
    let id = u16::from_le_bytes([low, high]);
    let query = message::query(id, question).ok_or_else(|| unwritable(question))?;
    Ok((id, query))
}

fn unwritable(question: &Question) -> Fault {
    Fault::Refused(format!("{:?} is no name for DNS", question.name))
}
