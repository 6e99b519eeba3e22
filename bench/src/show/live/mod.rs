//! A running load on a terminal: drawn anew each second, and taken back at the end, whatever ends
//! it. Elsewhere, and where a terminal can do no more, it is one line a second.

mod lines;
mod terminal;
mod view;

use std::io::{self, IsTerminal};

use self::lines::Lines;
use self::terminal::Screen;
use crate::measure::progress::Observer;

/// What shows a load where standard error goes to; `title` says what was asked for.
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
