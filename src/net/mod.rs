//! TCP on a lane: listeners and streams with the options that a server wants.
//!
//! Called by `proxy` and by the load client. Knows no service.

mod listener;
mod options;
mod stream;

pub use self::listener::{Accepted, Listener};
pub use self::options::{Keepalive, SocketOptions};
pub use self::stream::{Stream, Unconnected, connect, is_local, is_out_of_ports};
