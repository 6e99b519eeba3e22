//! corelane-top as a library: a live view of a running server, in a terminal.
//!
//! `corelane top` replaces itself by the binary, which calls [`main`]. The crate has no part of the
//! server: `client` speaks HTTP over the control socket, `api` has the shapes of the answers.
//!
//! Two threads. `poll` asks the server once an interval, and measures rates as differences of
//! counters (`rates`). The main thread reads keys (`keys`), keeps what is chosen (`state`), turns
//! the latest answers into rows (`tables`, `grid`) and draws (`view`) on the terminal (`screen`).

mod action;
mod api;
mod arguments;
mod client;
mod clock;
mod grid;
mod keys;
mod poll;
mod rates;
mod run;
mod screen;
mod state;
mod tables;
mod units;
mod view;

pub use self::arguments::command;
pub use self::run::main;
