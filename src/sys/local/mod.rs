//! Local sockets (unix(7)) with the users of the peers, for the control plane.
//!
//! Systems without names of peers have no local sockets: `absent.rs`, and
//! loom's build of the async runtime has no sockets at all.

#[cfg(any(loom, not(unix)))]
mod absent;
#[cfg(all(unix, not(loom)))]
mod stream;
mod tcp;
mod udp;
#[cfg(all(unix, not(loom)))]
mod unix;

#[cfg(any(loom, not(unix)))]
pub(crate) use self::absent::{
    FarEnd, LocalAccepting, LocalError, LocalListener, LocalPeer, connect_local, effective_user,
    local_peer, null_file,
};
#[cfg(all(unix, not(loom)))]
pub(crate) use self::stream::FarEnd;
pub(crate) use self::tcp::{TcpAccepting, TcpConnection, connect_tcp, open_tcp};
pub(crate) use self::udp::Datagrams;
#[cfg(all(unix, not(loom)))]
pub(crate) use self::unix::{
    LocalAccepting, LocalError, LocalListener, LocalPeer, connect_local, effective_user,
    local_peer, null_file,
};
