//! The layer that knows every other: it makes the parts out of the configuration, starts the
//! lanes, and stops them in good order. Called by `cli`.
//!
//! Life of the process: plan (which lanes, which poller, how many sessions) and try what else is
//! asked of this machine → bind every listener → start the lanes → serve until a signal → drain
//! within the grace period → stop.

mod bind;
mod error;
mod here;
mod inherited;
mod lane;
mod log;
mod log_queue;
mod memory;
mod options;
mod plan;
mod reached;
mod run;
mod service;
mod signals;
mod stop;
mod supervision;

pub use self::error::ServerError;
pub(crate) use self::error::chain;
pub use self::here::check as check_here;
#[cfg(feature = "sim")]
pub(crate) use self::lane::{LanePlan, Orders, Serving, Shared, open};
#[cfg(feature = "sim")]
pub(crate) use self::options::socket;
pub use self::run::run;
pub use crate::sys::is_listened_on;
