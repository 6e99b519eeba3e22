//! Local sockets (unix(7)) with the users of the peers, for the control plane.
//!
//! Systems without names of peers have no local sockets: `absent.rs`.

#[cfg(not(unix))]
mod absent;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use self::absent::{
    LocalAccepting, LocalError, LocalListener, LocalPeer, connect_local, effective_user,
    local_peer, null_file, user_number,
};
#[cfg(unix)]
pub(crate) use self::unix::{
    LocalAccepting, LocalError, LocalListener, LocalPeer, connect_local, effective_user,
    local_peer, null_file, user_number,
};
