//! The servers to ask, in a learned order: a silent server is asked last for a while, and the next
//! server is asked before the time of a silent server is over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::exchange::{self, Fault};
use super::message::{Answer, Question};
use crate::sys::{self, Time};

/// When the next server is asked, too. A recursive resolver takes 100 ms, rarely more.
const NEXT_AFTER: Duration = Duration::from_millis(250);
/// How long a silent or failed server is asked last.
const AVOIDED_FOR: Duration = Duration::from_secs(30);

/// The servers, in the order of the configuration.
#[derive(Debug)]
pub(super) struct Servers {
    all: Vec<Server>,
    /// For one server and question.
    limit: Duration,
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    /// Asked last until this time, in nanoseconds.
    avoided_until: AtomicU64,
}

impl Servers {
    pub(super) fn new(addresses: &[SocketAddr], limit: Duration) -> Arc<Self> {
        let server = |&address| Server {
            address,
            avoided_until: AtomicU64::new(0),
        };
        let all = addresses.iter().map(server).collect();
        Arc::new(Self { all, limit })
    }

    pub(super) fn has(&self, addresses: &[SocketAddr], limit: Duration) -> bool {
        let own = self.all.iter().map(|server| server.address);
        own.eq(addresses.iter().copied()) && self.limit == limit
    }

    /// The indices of the servers, in the order to ask.
    fn order(&self, now: Time) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        let avoided = |index: &usize| self.all[*index].avoided_until.load(Relaxed);
        order.sort_by_key(|index| avoided(index) > now.as_nanos());
        order
    }

    fn avoid(&self, index: usize) {
        let until = sys::now() + AVOIDED_FOR;
        self.all[index]
            .avoided_until
            .store(until.as_nanos(), Relaxed);
    }

    /// The first answer of a server. The error is the last failure.
    ///
    /// # Errors
    /// In words, with the server.
    pub(super) async fn ask(self: &Arc<Self>, question: &Question) -> Result<Answer, String> {
        let mut order = self.order(sys::now()).into_iter();
        let (mut asking, mut waiting) = (JoinSet::new(), Vec::new());
        let mut why = "there is no server to ask: /etc/resolv.conf names none; write \
                       resolver.servers"
            .to_owned();
        loop {
            match order.next() {
                Some(index) => {
                    waiting.push(index);
                    let (servers, question) = (Arc::clone(self), question.clone());
                    asking.spawn(async move {
                        let server = servers.all[index].address;
                        let answer = exchange::ask(server, &question, servers.limit).await;
                        (index, answer)
                    });
                }
                None if asking.is_empty() => return Err(why),
                None => {}
            }
            let patience = match order.len() {
                0 => Duration::MAX,
                _ => NEXT_AFTER,
            };
            match timeout(patience, asking.join_next()).await {
                Ok(Some(Ok((index, Ok(answer))))) => {
                    self.all[index].avoided_until.store(0, Relaxed);
                    waiting.retain(|one| *one != index);
                    // Asked before, and silent.
                    waiting.iter().for_each(|one| self.avoid(*one));
                    return Ok(answer);
                }
                Ok(Some(Ok((index, Err(fault))))) => {
                    waiting.retain(|one| *one != index);
                    self.avoid(index);
                    why = self.say(index, &fault);
                }
                Ok(Some(Err(panicked))) => why = panicked.to_string(),
                // Time for the next.
                Ok(None) | Err(_) => {}
            }
        }
    }

    fn say(&self, index: usize, fault: &Fault) -> String {
        format!("{}: {fault}", self.all[index].address)
    }
}
