//! What each key does.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::action::Action;
use crate::state::{Message, Mode, State};
use crate::tables::Tab;

/// Rows of a jump.
const JUMP: isize = 10;
/// More rows than there are.
const FAR: isize = isize::MAX;
/// The longest filter.
const FILTER_CHARS_MAX: usize = 200;

/// What the caller has to do for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    Quit,
    /// Stop until a shell continues the process.
    Suspend,
    Act(Action),
}

/// The keys of the help page, with their meaning.
pub(crate) const HELP: &[(&str, &str)] = &[
    ("1 2 3 4, Tab", "listeners, upstreams, lanes, sessions"),
    ("↑ ↓ j k", "choose a row; PgUp PgDn, Home End: far"),
    (
        "Enter",
        "sessions of a listener or endpoint; a session's own page",
    ),
    ("Esc", "back; remove the filter"),
    ("s S", "sort by the next, the previous column"),
    ("r", "reverse the order"),
    ("/", "filter: words to find in the rows; of sessions also"),
    (
        "",
        "listener=, client=10.0.0.0/8, upstream=, endpoint=, generation=,",
    ),
    ("", "age_min=1h, idle_min=10m, bytes_min=1MiB, ending=true"),
    ("Space", "freeze the view, and go on"),
    ("e", "end a session"),
    ("p", "pause a listener, or resume it"),
    ("d", "drain a listener or an endpoint"),
    ("m u", "endpoint: maintenance, ready (up)"),
    ("q, Ctrl-C", "leave"),
];

/// The keys of the page, for the last line.
pub(crate) fn hints(state: &State) -> &'static str {
    match (&state.page, state.tab) {
        (Some(_), _) => "Esc back  ↑↓ scroll  e end session  Space freeze  ? help  q quit",
        (None, Tab::Listeners) => {
            "Enter sessions  p pause/resume  d drain  s r sort  / filter  ? help  q quit"
        }
        (None, Tab::Upstreams) => {
            "Enter sessions  d drain  m maintenance  u ready  s r sort  / filter  ? help"
        }
        (None, Tab::Lanes) => "s r sort  / filter  Space freeze  ? help  q quit",
        (None, Tab::Sessions) => "Enter session  e end  s r sort  / filter  Space freeze  ? help",
    }
}

/// Obeys a key.
pub(crate) fn press(state: &mut State, key: KeyEvent) -> Effect {
    if key.kind == KeyEventKind::Release {
        return Effect::None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Effect::Quit,
            KeyCode::Char('z') => Effect::Suspend,
            _ => Effect::None,
        };
    }
    state.message = None;
    match std::mem::replace(&mut state.mode, Mode::Browse) {
        Mode::Browse => browse(state, key.code),
        Mode::Filter(text) => {
            filter(state, text, key.code);
            Effect::None
        }
        Mode::Question(action) => answer(state, action, key.code),
        Mode::Help => match key.code {
            KeyCode::Char('q') => Effect::Quit,
            _ => Effect::None,
        },
    }
}

fn browse(state: &mut State, key: KeyCode) -> Effect {
    match key {
        KeyCode::Char('q') => return Effect::Quit,
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => state.mode = Mode::Help,
        KeyCode::Char('1') => state.turn_to(Tab::Listeners),
        KeyCode::Char('2') => state.turn_to(Tab::Upstreams),
        KeyCode::Char('3') => state.turn_to(Tab::Lanes),
        KeyCode::Char('4') => state.turn_to(Tab::Sessions),
        KeyCode::Tab | KeyCode::Right => state.turn_to(beside(state.tab, 1)),
        KeyCode::BackTab | KeyCode::Left => state.turn_to(beside(state.tab, Tab::ALL.len() - 1)),
        KeyCode::Up | KeyCode::Char('k') => state.step(-1),
        KeyCode::Down | KeyCode::Char('j') => state.step(1),
        KeyCode::PageUp => state.step(-JUMP),
        KeyCode::PageDown => state.step(JUMP),
        KeyCode::Home | KeyCode::Char('g') => state.step(-FAR),
        KeyCode::End | KeyCode::Char('G') => state.step(FAR),
        KeyCode::Char(' ') => state.is_frozen = !state.is_frozen,
        KeyCode::Esc | KeyCode::Backspace => back(state),
        KeyCode::Enter => enter(state),
        _ if state.page.is_none() => arrange(state, key),
        _ => {}
    }
    if let KeyCode::Char(letter) = key
        && let Some(action) = action(state, letter)
    {
        state.mode = Mode::Question(action);
    }
    Effect::None
}

/// The keys of a table.
fn arrange(state: &mut State, key: KeyCode) {
    match key {
        KeyCode::Char('s' | '>') => state.sort_by_next(false),
        KeyCode::Char('S' | '<') => state.sort_by_next(true),
        KeyCode::Char('r') => {
            let place = state.place_mut();
            place.is_descending = !place.is_descending;
            state.arrange();
        }
        KeyCode::Char('/') => state.mode = Mode::Filter(state.place().filter.clone()),
        _ => {}
    }
}

fn beside(tab: Tab, by: usize) -> Tab {
    Tab::ALL[(tab as usize + by) % Tab::ALL.len()]
}

fn back(state: &mut State) {
    if state.page.take().is_none() {
        state.place_mut().filter.clear();
        state.arrange();
    }
}

fn enter(state: &mut State) {
    let Some(chosen) = state.chosen().filter(|_| state.page.is_none()) else {
        return;
    };
    match state.tab {
        Tab::Listeners => state.show_sessions(format!("listener={chosen}")),
        Tab::Upstreams => {
            let (upstream, address) = chosen.split_once(' ').unwrap_or((chosen, ""));
            state.show_sessions(format!("upstream={upstream} endpoint={address}"));
        }
        Tab::Lanes => {}
        Tab::Sessions => {
            if let Ok(id) = chosen.parse() {
                state.open(id);
            }
        }
    }
}

/// The action of a letter on the chosen row, or on the session of the page.
fn action(state: &State, letter: char) -> Option<Action> {
    let look = state.latest.as_ref()?;
    if let Some(page) = &state.page {
        let client = page.latest.as_ref()?.session.client.clone();
        let is_live = letter == 'e' && page.ended.is_none();
        return is_live.then_some(Action::End {
            id: page.id,
            client,
        });
    }
    let chosen = state.chosen()?;
    match (state.tab, letter) {
        (Tab::Sessions, 'e') => {
            let mut sessions = look.sessions.iter().flatten().flat_map(|of| &of.list);
            let id: u64 = chosen.parse().ok()?;
            let client = sessions.find(|one| one.id == id)?.client.clone();
            Some(Action::End { id, client })
        }
        (Tab::Listeners, 'd') => Some(Action::Drain(chosen.to_owned())),
        (Tab::Listeners, 'p') => {
            let of = look.listeners.iter().find(|one| one.name == chosen)?;
            let name = chosen.to_owned();
            Some(match of.state.as_str() {
                "paused" => Action::Resume(name),
                _ => Action::Pause(name),
            })
        }
        (Tab::Upstreams, 'd' | 'm' | 'u') => {
            let (upstream, address) = chosen.split_once(' ')?;
            let state = match letter {
                'd' => "drain",
                'm' => "maintenance",
                _ => "ready",
            };
            Some(Action::Endpoint {
                upstream: upstream.to_owned(),
                address: address.to_owned(),
                state,
            })
        }
        _ => None,
    }
}

/// Only a y is a yes.
fn answer(state: &mut State, action: Action, key: KeyCode) -> Effect {
    if let KeyCode::Char('y' | 'Y') = key {
        return Effect::Act(action);
    }
    state.message = Some(Message {
        text: "nothing done".to_owned(),
        is_failure: false,
    });
    Effect::None
}

fn filter(state: &mut State, mut text: String, key: KeyCode) {
    match key {
        KeyCode::Enter => {
            state.place_mut().filter = text.trim().to_owned();
            state.arrange();
            return;
        }
        KeyCode::Esc => return,
        KeyCode::Backspace => _ = text.pop(),
        KeyCode::Char(c) if text.chars().count() < FILTER_CHARS_MAX => text.push(c),
        _ => {}
    }
    state.mode = Mode::Filter(text);
}
