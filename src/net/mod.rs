//! TCP on a lane: listeners and streams with the options that a server wants.
//!
//! Called by `proxy` and by the load client. Knows no service.

mod listener;
mod options;
mod stream;

pub(crate) use self::listener::Accepted;
#[cfg(test)]
pub(crate) use self::listener::tests::listener_on;
pub use self::listener::{Listener, ListenerKind};
pub use self::options::{Keepalive, SocketOptions};
pub use self::stream::{Stream, connect, is_out_of_ports};
pub(crate) use self::stream::{Unconnected, is_local, socket_closed_by_fin};
