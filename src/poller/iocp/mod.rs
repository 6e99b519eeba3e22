//! The completion port of Windows, a back end of its own: completions, not readiness.
//!
//! *Receiving*: a receive of no bytes waits in the kernel, so that an idle connection holds no
//! buffer. After its completion the socket is read into buffers of the pool, within the budget. A
//! cancelled receive stays in the kernel for the next receive: it touches no memory but its block.
//! *Sending*: a gathered `WSASend` of the remaining chain, repeated until the chain is sent.
//! *Accepting*: connections in the backlog are accepted directly. With an empty backlog an
//! `AcceptEx` waits, one per listener: several would accept connections beyond `max_sessions`.
//! *Ready*: a poll of the sockets' driver (AFD), as select does.
//!
//! An [`Operation`] holds a call's memory, unchanged until the completion.

mod calls;
mod ops;
mod port;
mod receive;

pub(super) use self::port::Iocp;
