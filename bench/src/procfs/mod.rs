//! What Linux's `/proc` says: of the server's process, of this program's threads, and of the
//! machine. On another system the readers return nothing, and the results say so.

pub(crate) mod server_process;
pub(crate) mod socket_owner;
pub(crate) mod system_counters;
pub(crate) mod thread_clock;
