//! The terminal that the view is drawn on: its second screen, which leaves the first as it was.
//!
//! No key is read and the terminal's modes stay as they are, so that Ctrl-C is the signal that ends
//! the load. What is typed meanwhile can spoil the drawing for a second: all of it is drawn anew
//! each time.

use std::io::{self, Stderr, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
};
use ratatui::layout::Rect;

use super::lines::Lines;
use super::view::View;
use crate::measure::progress::{Observer, Snapshot};

/// Whether the second screen is shown. One for the process, as is the terminal: the hook that a
/// panic calls has to know.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// The view on its terminal, until it is dropped or anything panics.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    view: View,
}

impl Screen {
    /// Shows the view, with nothing in it yet.
    pub(crate) fn open(title: String) -> io::Result<Self> {
        let mut screen = Self {
            terminal: Terminal::new(CrosstermBackend::new(io::stderr()))?,
            view: View::new(title),
        };
        restore_on_panic();
        SHOWN.store(true, SeqCst);
        execute!(io::stderr(), EnterAlternateScreen)?;
        screen.draw()?;
        Ok(screen)
    }

    fn draw(&mut self) -> io::Result<()> {
        let size = self.terminal.size()?;
        execute!(io::stderr(), BeginSynchronizedUpdate)?;
        // Forgets what was drawn, so that all of it is.
        self.terminal
            .resize(Rect::from((Default::default(), size)))?;
        self.terminal.draw(|frame| self.view.draw(frame))?;
        execute!(io::stderr(), EndSynchronizedUpdate)
    }
}

impl Observer for Screen {
    fn second(&mut self, snapshot: &Snapshot) {
        self.view.add(snapshot);
        // After a panic elsewhere, and when the terminal has gone, the load goes on.
        if !SHOWN.load(SeqCst) || self.draw().is_err() {
            restore();
            Lines::new().second(snapshot);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// A panic's message would be lost with the second screen otherwise.
fn restore_on_panic() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        restore();
        before(panic);
    }));
}

/// Shows the first screen again, as it was, if it is not shown.
fn restore() {
    if SHOWN.swap(false, SeqCst) {
        let mut stderr = io::stderr();
        // Nobody is left to tell if this fails.
        _ = execute!(stderr, EndSynchronizedUpdate, LeaveAlternateScreen, Show);
        _ = stderr.flush();
    }
}
