//! The terminal: the alternate screen and raw keys, until dropped, a panic, or a signal.

use std::io::{self, Stdout, Write};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use signal_hook::consts::signal::{SIGINT, SIGTERM, SIGTSTP};
use signal_hook::flag;
use signal_hook::low_level::emulate_default_handler;

/// Whether the alternate screen is on. Global, for the panic hook.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// The largest drawing: of a larger terminal the rest stays empty. The memory of a drawing follows
/// its size, and a terminal can say 65,535 by 65,535.
const COLUMNS_MAX: u16 = 1000;
const ROWS_MAX: u16 = 500;

/// The terminal of the view.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    /// The drawing on the terminal.
    area: Rect,
    ended: Arc<AtomicBool>,
}

impl Screen {
    /// Takes the terminal.
    pub(crate) fn open() -> io::Result<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        // SIGHUP ends the process: there is no terminal to give back.
        for signal in [SIGTERM, SIGINT] {
            flag::register(signal, Arc::clone(&ended))?;
        }
        restore_on_panic();
        let area = Rect::default();
        let viewport = Viewport::Fixed(area);
        let backend = CrosstermBackend::new(io::stdout());
        let terminal = Terminal::with_options(backend, TerminalOptions { viewport })?;
        let screen = Self {
            terminal,
            area,
            ended,
        };
        show()?;
        Ok(screen)
    }

    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        execute!(io::stdout(), BeginSynchronizedUpdate)?;
        let of = self.terminal.size()?;
        let area = Rect::new(0, 0, of.width.min(COLUMNS_MAX), of.height.min(ROWS_MAX));
        if area != self.area {
            self.terminal.resize(area)?;
            self.area = area;
        }
        self.terminal.draw(draw)?;
        execute!(io::stdout(), EndSynchronizedUpdate)
    }

    /// Whether a signal asked for the end.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(SeqCst)
    }

    /// Gives the terminal back until a shell continues the process.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        restore();
        emulate_default_handler(SIGTSTP)?;
        show()?;
        self.terminal.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn show() -> io::Result<()> {
    SHOWN.store(true, SeqCst);
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen)
}

/// Leaves the alternate screen before the panic message, which would disappear with it.
fn restore_on_panic() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        restore();
        before(panic);
    }));
}

/// The terminal as it was.
fn restore() {
    if SHOWN.swap(false, SeqCst) {
        let mut stdout = io::stdout();
        // A terminal that has gone cannot be restored.
        _ = execute!(stdout, EndSynchronizedUpdate, LeaveAlternateScreen, Show);
        _ = stdout.flush();
        _ = disable_raw_mode();
    }
}
