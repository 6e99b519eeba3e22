//! The health checks of endpoints, once a process.
//!
//! The main thread gives the endpoints to `watch` at the start and at each reload. `keeper` has a
//! task for each, which runs a check (`run`) with the dialogue of a protocol (`probe`), and asks
//! `judge` for the verdict. The verdict is published to the lanes through `Watched::set`; reasons
//! and counters stay here, for the API and the metrics. A check that fails for lack of resources
//! of this machine is no verdict (`outcome`).

mod ejection;
mod entry;
mod group;
mod judge;
mod keeper;
mod log;
mod outcome;
mod panic;
mod probe;
mod run;
mod watch;

pub(crate) use self::ejection::Seen;
pub(super) use self::keeper::{EndSessions, Keeper, Panicking, Watching};
pub(crate) use self::watch::{Watch, Watched};
