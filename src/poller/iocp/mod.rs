//! The completion port of Windows: a back end of its own, since it tells what is done and not what
//! is ready.
//!
//! *Receiving*: a receive of no bytes waits in the kernel, so that an idle connection holds no
//! buffer; once it completes, the socket is read by hand into buffers of the pool, within the
//! budget. A cancelled receive leaves it there: it touches no memory of ours but its block, and
//! serves the next. *Sending*: a gathered `WSASend` of what is left of the chain, again until all
//! is gone. *Accepting*: what is in the backlog is taken by hand, and only when that is nothing an
//! `AcceptEx` waits, one per listener: more would take connections that `max_sessions` has no room
//! for. *Ready*: a poll of the socket's driver (AFD), as select does it.
//!
//! A call's memory is an [`Operation`], which is untouched until its completion is here.

mod calls;
mod ops;
mod port;
mod receive;

pub(super) use self::port::Iocp;
