//! The terminal of the live view. Draws on the alternate screen, so the main screen stays
//! unchanged.
//!
//! Reads no keys and leaves the terminal's modes alone, so Ctrl-C still sends the signal that ends
//! the load. Typed characters can disturb the drawing for up to a second: each update redraws
//! everything.

use std::io::{self, Stderr, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
};
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};

use super::lines::Lines;
use super::view::View;
use crate::measure::progress::{Observer, Snapshot};

/// The largest drawing, since its memory follows its size: a terminal can say 65,535 by 65,535.
const COLUMNS_MAX: u16 = 1000;
const ROWS_MAX: u16 = 500;

/// Whether the alternate screen is on. Global, for the panic hook.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// The live view on its terminal, until dropped or until a panic.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    view: View,
}

impl Screen {
    /// Shows an empty view.
    pub(crate) fn open(title: String) -> io::Result<Self> {
        let viewport = Viewport::Fixed(Rect::default());
        let backend = CrosstermBackend::new(io::stderr());
        let mut screen = Self {
            terminal: Terminal::with_options(backend, TerminalOptions { viewport })?,
            view: View::new(title),
        };
        restore_on_panic();
        SHOWN.store(true, SeqCst);
        execute!(io::stderr(), EnterAlternateScreen)?;
        screen.draw()?;
        Ok(screen)
    }

    fn draw(&mut self) -> io::Result<()> {
        let of = self.terminal.size()?;
        let area = Rect::new(0, 0, of.width.min(COLUMNS_MAX), of.height.min(ROWS_MAX));
        execute!(io::stderr(), BeginSynchronizedUpdate)?;
        // Clears the diff buffer, so that everything is redrawn.
        self.terminal.resize(area)?;
        self.terminal.draw(|frame| self.view.draw(frame))?;
        execute!(io::stderr(), EndSynchronizedUpdate)
    }
}

impl Observer for Screen {
    fn second(&mut self, snapshot: &Snapshot) {
        self.view.add(snapshot);
        // After a panic on another thread, or without the terminal, the load continues.
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

/// Leaves the alternate screen before the panic message, which would disappear with it.
fn restore_on_panic() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        restore();
        before(panic);
    }));
}

/// Returns to the main screen, if the alternate screen is on.
fn restore() {
    if SHOWN.swap(false, SeqCst) {
        let mut stderr = io::stderr();
        // An error of standard error cannot be reported anywhere.
        _ = execute!(stderr, EndSynchronizedUpdate, LeaveAlternateScreen, Show);
        _ = stderr.flush();
    }
}
