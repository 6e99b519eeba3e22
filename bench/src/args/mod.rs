//! The command line as written, and the types of its values. Checks each argument alone; `plan`
//! checks them together.

pub(crate) mod bytes;
mod choices;
mod command_line;
pub(crate) mod condition;
mod every_verb;
mod rate;
mod show;
pub(crate) mod sizes;
pub(crate) mod values;
mod verbs;

pub(crate) use self::choices::{Arrival, CloseChoice, Direction, PollerChoice, ProxyVersion};
pub use self::command_line::command;
pub(crate) use self::command_line::{Arguments, Verb};
pub(crate) use self::every_verb::{CommonArguments, TargetArguments};
pub(crate) use self::show::{CompareArguments, ReportArguments};
pub(crate) use self::verbs::{
    BulkArguments, ChurnArguments, DuelArguments, IdleArguments, LoadArguments, RunArguments,
    ScriptArguments, SweepArguments,
};
