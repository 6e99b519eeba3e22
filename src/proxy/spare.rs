//! Sockets to the upstream, opened before the accept. Without a socket the client waits in the
//! backlog, rather than be accepted and reset.
//!
//! An accept loop keeps a spare socket for each address family of its upstream. The next session
//! takes a socket, and the loop opens its replacement before the next accept: the same system calls
//! per session, only earlier.

use std::io;
use std::sync::Arc;

use super::listener_context::ListenerContext;
use super::service::Service;
use super::upstream::{Choice, Claim, Seeker, Upstream};
use crate::net::Unconnected;
use crate::runtime::PeerAddress;

/// An accept loop's spare sockets.
#[derive(Debug, Default)]
pub(super) struct Spares {
    /// The upstream of the sockets: a socket has the options of its upstream.
    of: Option<Arc<Upstream>>,
    /// Of IPv4 and of IPv6.
    sockets: [Option<Unconnected>; 2],
}

/// The endpoint of a session, and a socket for this endpoint.
#[derive(Debug)]
pub(super) struct Reserved {
    /// `None` if no endpoint is usable or has room.
    pub(super) endpoint: Option<Claim>,
    /// `None` if this machine had no descriptor left when the lane stopped accepting.
    pub(super) socket: Option<Unconnected>,
}

impl Spares {
    /// Opens the sockets that the next session may need and that are missing.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub(super) fn fill(&mut self, service: &Service) -> io::Result<()> {
        self.keep_for(service);
        let Some(upstream) = &self.of else {
            return Ok(());
        };
        for (spare, family) in self.sockets.iter_mut().zip(upstream.families()) {
            if let (None, Some(endpoint)) = (&spare, family) {
                *spare = Some(upstream.socket_for(endpoint)?);
            }
        }
        Ok(())
    }

    /// Chooses an endpoint and takes a socket for the session of a client.
    pub(super) fn reserve(
        &mut self,
        context: &ListenerContext,
        client: PeerAddress,
    ) -> Option<Reserved> {
        self.keep_for(&context.service);
        let upstream = self.of.as_ref()?;
        let seeker = Seeker {
            lane: &context.lane,
            client,
            tried: &[],
            is_called: false,
        };
        let (endpoint, address) = match upstream.choose(&seeker) {
            Choice::Claimed(claim) => {
                let address = upstream.address(claim.index());
                (Some(claim), Some(address))
            }
            // The session will wait, with a socket for any endpoint.
            Choice::Full => (None, upstream.families().into_iter().flatten().next()),
            Choice::Nothing => (None, None),
        };
        let family = address.map(Upstream::family_of);
        Some(Reserved {
            endpoint,
            socket: family.and_then(|family| self.sockets[family].take()),
        })
    }

    /// Drops the sockets of an earlier configuration's upstream.
    fn keep_for(&mut self, service: &Service) {
        let present = service.upstream().map(Arc::as_ptr);
        if self.of.as_ref().map(Arc::as_ptr) != present {
            *self = Self {
                of: service.upstream().cloned(),
                sockets: Default::default(),
            };
        }
    }
}
