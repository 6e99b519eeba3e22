//! Sockets to the upstream, opened before the accept. Without a socket the client waits in the
//! backlog, rather than be accepted and reset.
//!
//! An accept loop keeps a spare socket for each address family of its upstream. The next session
//! takes a socket, and the loop opens its replacement before the next accept: the same system calls
//! per session, only earlier.

use std::io;

use super::service::Service;
use super::upstream::Upstream;
use crate::net::Unconnected;

/// An accept loop's spare sockets, of IPv4 and of IPv6.
#[derive(Debug, Default)]
pub struct Spares([Option<Unconnected>; 2]);

/// The turn of a session among the endpoints, and a socket for the endpoint of this turn.
#[derive(Debug)]
pub(super) struct Reserved {
    pub(super) turn: usize,
    /// `None` if this machine had no descriptor left when the lane stopped accepting.
    pub(super) socket: Option<Unconnected>,
}

impl Spares {
    /// Opens the sockets that the next session may need and that are missing.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub(super) fn fill(&mut self, service: &Service) -> io::Result<()> {
        let Some(upstream) = service.upstream() else {
            return Ok(());
        };
        for (spare, family) in self.0.iter_mut().zip(upstream.families()) {
            if let (None, Some(endpoint)) = (&spare, family) {
                *spare = Some(upstream.socket_for(endpoint)?);
            }
        }
        Ok(())
    }

    /// Takes a turn and a socket for the next session.
    pub(super) fn reserve(&mut self, service: &Service) -> Option<Reserved> {
        let upstream = service.upstream()?;
        let turn = upstream.take_turn();
        let family = Upstream::family_of(upstream.address(upstream.choose(turn)));
        Some(Reserved {
            turn,
            socket: self.0[family].take(),
        })
    }
}
