//! The live view of a running load: a drawing on a terminal, updated once a second and removed at
//! the end. Without a capable terminal, one line a second.

mod lines;
mod terminal;
mod view;

use std::io::{self, IsTerminal};

use self::lines::Lines;
use self::terminal::Screen;
use crate::measure::progress::Observer;

/// The observer for standard error. `title` is the command line.
pub(crate) fn observer(title: String) -> Box<dyn Observer> {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    if dumb || !io::stderr().is_terminal() {
        return Box::new(Lines::new());
    }
    match Screen::open(title) {
        Ok(screen) => Box::new(screen),
        Err(_) => Box::new(Lines::new()),
    }
}
