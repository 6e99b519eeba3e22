//! Names: A, AAAA and SRV records, from own transport over UDP and TCP.
//!
//! `message` reads and writes packets, `exchange` asks one server, `servers` asks several,
//! `lookup` finds all addresses of a name, `follow` keeps on asking. `system` reads resolv.conf
//! and hosts.

mod exchange;
mod follow;
mod lookup;
mod message;
mod servers;
mod system;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

pub(super) use self::follow::{follow_name, follow_service};
pub(super) use self::lookup::Resolver;
