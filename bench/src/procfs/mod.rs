//! Readers of Linux's `/proc`: the server's process, this program's threads, the machine's
//! counters. On other systems the readers return nothing, and the results show the gap.

pub(crate) mod server_process;
pub(crate) mod socket_owner;
pub(crate) mod system_counters;
pub(crate) mod thread_clock;
