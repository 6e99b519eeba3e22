//! corelane-bench as a library: the load client, and the document of its results.
//!
//! The binary calls [`main`] and nothing else. Readers of results, such as the runner of
//! `bench/peers`, use [`outcome`] and [`stats`].
//!
//! `args` (the command line as written) → `plan` (what the arguments mean, checked) → `measure`
//! (the main thread: engine, series, verdict, sweep, duel) → `load` (the lanes and their
//! connections) → `outcome` (the document) → `text` and `show`. Each folder imports only folders
//! below it: `outcome`, `args`, `text`, `procfs` and `scrape`, `load`, `plan`, `measure`, `show`.

mod args;
mod load;
mod measure;
pub mod outcome;
mod plan;
mod procfs;
mod scrape;
mod show;
pub mod stats;
mod text;
mod verbs;

pub use self::args::command;
pub use self::verbs::main;
