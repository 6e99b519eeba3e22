//! What a session needs besides its client's descriptor, had before its client is accepted: a
//! client for whom this machine has no socket waits in the backlog, and is not accepted and reset.
//!
//! An accept loop keeps a spare socket of each family that its upstream has. The next session takes
//! one and the loop makes another before it accepts again, so a session costs no more calls.

use std::io;

use super::service::Service;
use super::upstream::Upstream;
use crate::net::Unconnected;

/// An accept loop's spare sockets, of IPv4 and of IPv6.
#[derive(Debug, Default)]
pub struct Spares([Option<Unconnected>; 2]);

/// What a session connects with first: its turn, and a socket for the endpoint of that turn.
#[derive(Debug)]
pub(super) struct Reserved {
    pub(super) turn: usize,
    /// `None` if this machine lacked one when the lane stopped accepting.
    pub(super) socket: Option<Unconnected>,
}

impl Spares {
    /// Makes the sockets that the next session may need and that are not there.
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

    /// Takes what the next session needs.
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
