//! The main thread: keys and answers in, drawings out.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use clap::Parser;
use ratatui::crossterm::event::{self, Event};

use crate::api::Status;
use crate::arguments::Arguments;
use crate::client::{Client, Failed};
use crate::clock::now;
use crate::keys::{Effect, press};
use crate::poll::{self, Ask, Told, Want};
use crate::screen::Screen;
use crate::state::State;
use crate::view::{Palette, draw};

/// The longest wait for a key: an answer of the server is drawn no later.
const TICK: Duration = Duration::from_millis(50);

/// Why the view ended by itself.
enum Failure {
    Arguments(clap::Error),
    NoServer(String),
    Terminal(String),
}

/// Runs the command line `arguments`, which begin with the name of the program, and returns the
/// exit code of the process.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (why, code) = match run(arguments) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Arguments(error)) => {
            // Without a standard error there is no way to report.
            _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2).into();
        }
        Err(Failure::NoServer(why)) => (why, 2),
        Err(Failure::Terminal(why)) => (why, 1),
    };
    _ = writeln!(io::stderr(), "corelane-top: {why}");
    code.into()
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let arguments = Arguments::try_parse_from(arguments).map_err(Failure::Arguments)?;
    let client = Client::new(arguments.socket);
    // Said on the terminal as it is.
    let status: Result<Status, Failed> = client.get("/v1/status");
    status.map_err(|failed| Failure::NoServer(failed.to_string()))?;
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    if is_dumb || !io::stdout().is_terminal() {
        return Err(Failure::Terminal(
            "standard output is not a terminal that can be drawn on; 'corelane ctl' prints tables \
             and JSON"
                .to_owned(),
        ));
    }
    let max = usize::try_from(arguments.sessions).unwrap_or(usize::MAX);
    let (asks, told) = poll::start(client, arguments.interval, max);
    let mut screen = Screen::open().map_err(|error| terminal(&error))?;
    let mut state = State::new(arguments.interval);
    let end = show(&mut screen, &mut state, &asks, &told, arguments.patience);
    drop(screen);
    end
}

/// Until a key, a signal, or a server that stays away.
fn show(
    screen: &mut Screen,
    state: &mut State,
    asks: &Sender<Ask>,
    told: &Receiver<Told>,
    patience: Duration,
) -> Result<(), Failure> {
    let palette = Palette::of_environment();
    let (mut wanted, mut is_changed) = (Want::default(), true);
    loop {
        if is_changed || state.lost.is_some() {
            let drawn = screen.draw(|frame| draw(frame, state, palette, now()));
            drawn.map_err(|error| terminal(&error))?;
        }
        is_changed = false;
        // Until no key waits, without a drawing for each of many.
        let mut wait = TICK;
        while event::poll(wait).map_err(|error| terminal(&error))? {
            is_changed = true;
            wait = Duration::ZERO;
            let Event::Key(key) = event::read().map_err(|error| terminal(&error))? else {
                continue;
            };
            match press(state, key) {
                Effect::None => {}
                Effect::Quit => return Ok(()),
                Effect::Suspend => screen.suspend().map_err(|error| terminal(&error))?,
                Effect::Act(action) => tell(asks, Ask::Act(action))?,
            }
        }
        if screen.is_ended() {
            return Ok(());
        }
        let now = now();
        for told in told.try_iter() {
            state.take(told, now);
            is_changed = true;
        }
        let want = state.want();
        if want != wanted {
            tell(asks, Ask::Want(want.clone()))?;
            wanted = want;
        }
        if state.lost_for(now).is_some_and(|lost| lost >= patience) {
            let (_, why) = state.lost.take().unwrap_or((now, String::new()));
            return Err(Failure::NoServer(format!("the server has gone: {why}")));
        }
    }
}

fn tell(asks: &Sender<Ask>, ask: Ask) -> Result<(), Failure> {
    let gone = |_| Failure::NoServer("the polling thread has ended".to_owned());
    asks.send(ask).map_err(gone)
}

fn terminal(error: &io::Error) -> Failure {
    Failure::Terminal(format!("the terminal cannot be used: {error}"))
}
