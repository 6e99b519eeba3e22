//! What the operator has chosen, and the latest answers. Neither reads keys nor draws.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::action::Action;
use crate::api::WholeSession;
use crate::grid::Grid;
use crate::poll::{Look, Told, Want};
use crate::rates::{Counter, What};
use crate::tables::{Tab, columns, grid};
use crate::units::whole;

/// Steps kept for a sparkline: the width of a very wide terminal.
const HISTORY: usize = 512;

/// A table's state: order, filter, and the chosen row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub(crate) sort: usize,
    pub(crate) is_descending: bool,
    pub(crate) filter: String,
    /// The id of the chosen row, and its index for the time when the row has gone.
    chosen: Option<String>,
    pub(crate) index: usize,
    /// The first row on the screen.
    pub(crate) top: usize,
}

/// What the keys are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Browse,
    /// A filter is being typed.
    Filter(String),
    /// A question before an action.
    Question(Action),
    Help,
}

/// A session on a page of its own.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) id: u64,
    pub(crate) latest: Option<WholeSession>,
    /// Why there is nothing newer.
    pub(crate) ended: Option<String>,
    /// The first line of `TCP_INFO` on the screen.
    pub(crate) top: usize,
    pub(crate) received: History,
    pub(crate) sent: History,
}

/// A rate over the last steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(VecDeque<u64>);

impl History {
    fn push(&mut self, rate: Option<f64>) {
        let Some(rate) = rate else {
            return;
        };
        if self.0.len() == HISTORY {
            self.0.pop_front();
        }
        self.0.push_back(whole(rate));
    }

    /// The newest values, as many as fit.
    pub(crate) fn newest(&self, columns: u16) -> Vec<u64> {
        let skipped = self.0.len().saturating_sub(usize::from(columns));
        self.0.iter().skip(skipped).copied().collect()
    }
}

/// What a message is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) text: String,
    pub(crate) is_failure: bool,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) tab: Tab,
    places: [Place; 4],
    pub(crate) page: Option<Page>,
    pub(crate) mode: Mode,
    pub(crate) message: Option<Message>,
    pub(crate) latest: Option<Box<Look>>,
    /// The rows of the page, filtered and sorted.
    pub(crate) grid: Grid,
    pub(crate) begun: History,
    pub(crate) received: History,
    pub(crate) sent: History,
    /// Since when the server has not answered, and why.
    pub(crate) lost: Option<(Instant, String)>,
    /// Whether new looks wait for a key.
    pub(crate) is_frozen: bool,
    pub(crate) interval: Duration,
}

impl State {
    pub(crate) fn new(interval: Duration) -> Self {
        let place = |tab| match tab {
            // The busiest first.
            Tab::Sessions => Place {
                sort: column(tab, "IN/s"),
                is_descending: true,
                ..Place::default()
            },
            _ => Place::default(),
        };
        Self {
            tab: Tab::Listeners,
            places: Tab::ALL.map(place),
            page: None,
            mode: Mode::Browse,
            message: None,
            latest: None,
            grid: Grid::default(),
            begun: History::default(),
            received: History::default(),
            sent: History::default(),
            lost: None,
            is_frozen: false,
            interval,
        }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.places[self.tab as usize]
    }

    pub(crate) fn place_mut(&mut self) -> &mut Place {
        &mut self.places[self.tab as usize]
    }

    /// What the page needs of the server.
    pub(crate) fn want(&self) -> Want {
        let session = self.page.as_ref().map(|page| page.id);
        let is_listed = self.tab == Tab::Sessions && session.is_none();
        let sessions = is_listed.then(|| split(&self.place().filter).0);
        Want { sessions, session }
    }

    /// Takes a message of the polling thread.
    pub(crate) fn take(&mut self, told: Told, now: Instant) {
        match told {
            Told::Acted(result) => {
                let is_failure = result.is_err();
                let text = result.unwrap_or_else(|failed| failed.to_string());
                self.message = Some(Message { text, is_failure });
            }
            Told::Lost(failed) => {
                let since = self.lost.as_ref().map_or(now, |(since, _)| *since);
                self.lost = Some((since, failed.to_string()));
            }
            Told::Look(look) => {
                self.lost = None;
                if !self.is_frozen {
                    self.look(look);
                }
            }
        }
    }

    fn look(&mut self, mut look: Box<Look>) {
        if look.is_step {
            let rate = |what| look.rates.per_second(&Counter::Process(what));
            self.begun.push(rate(What::Begun));
            self.received.push(rate(What::In));
            self.sent.push(rate(What::Out));
        }
        if let Some(page) = &mut self.page
            && look.want.session == Some(page.id)
        {
            match look.session.take() {
                Some(Ok(session)) => page.latest = Some(session),
                Some(Err(failed)) => page.ended = Some(failed.to_string()),
                None => {}
            }
            if look.is_step {
                let rate = |what| look.rates.per_second(&Counter::Session(page.id, what));
                page.received.push(rate(What::In));
                page.sent.push(rate(What::Out));
            }
        }
        if look.sessions.is_none()
            && let Some(before) = self.latest.take()
        {
            // Behind a session's page the list stays.
            look.sessions = before.sessions;
        }
        self.latest = Some(look);
        self.arrange();
    }

    /// Makes the rows anew: filtered, sorted, with the chosen row where it is now.
    pub(crate) fn arrange(&mut self) {
        let Some(look) = &self.latest else {
            return;
        };
        let (tab, place) = (self.tab, &mut self.places[self.tab as usize]);
        let mut grid = grid(tab, look);
        let words = match tab {
            Tab::Sessions => split(&place.filter).1,
            _ => words(&place.filter),
        };
        grid.rows.retain(|row| row.has(&words));
        grid.sort(place.sort, place.is_descending);
        let chosen = place.chosen.as_ref();
        let at = chosen.and_then(|id| grid.rows.iter().position(|row| row.id == *id));
        place.index = at
            .unwrap_or(place.index)
            .min(grid.rows.len().saturating_sub(1));
        // A row that has gone leaves its place to the next.
        place.chosen = grid.rows.get(place.index).map(|row| row.id.clone());
        self.grid = grid;
    }

    /// Chooses the row `by` rows below the present one.
    pub(crate) fn step(&mut self, by: isize) {
        if let Some(page) = &mut self.page {
            page.top = page.top.saturating_add_signed(by);
            return;
        }
        let last = self.grid.rows.len().saturating_sub(1);
        let index = self.place().index.saturating_add_signed(by).min(last);
        let chosen = self.grid.rows.get(index).map(|row| row.id.clone());
        let place = self.place_mut();
        (place.index, place.chosen) = (index, chosen);
    }

    /// The id of the chosen row.
    pub(crate) fn chosen(&self) -> Option<&str> {
        let row = self.grid.rows.get(self.place().index);
        row.map(|row| row.id.as_str())
    }

    /// Shows the table of `tab`.
    pub(crate) fn turn_to(&mut self, tab: Tab) {
        (self.tab, self.page) = (tab, None);
        self.arrange();
    }

    /// Opens the page of a session.
    pub(crate) fn open(&mut self, id: u64) {
        self.page = Some(Page {
            id,
            latest: None,
            ended: None,
            top: 0,
            received: History::default(),
            sent: History::default(),
        });
    }

    /// Shows the sessions of a filter.
    pub(crate) fn show_sessions(&mut self, filter: String) {
        self.tab = Tab::Sessions;
        self.place_mut().filter = filter;
        self.arrange();
    }

    /// Sorts by the next column that is shown, or by the one before.
    pub(crate) fn sort_by_next(&mut self, is_back: bool) {
        let count = columns(self.tab).len();
        let mut column = self.place().sort;
        for _ in 0..count {
            column = (column + if is_back { count - 1 } else { 1 }) % count;
            if self.grid.columns.is_empty() || self.grid.has_column(column) {
                break;
            }
        }
        let is_descending = columns(self.tab)[column].is_number;
        let place = self.place_mut();
        (place.sort, place.is_descending) = (column, is_descending);
        self.arrange();
    }

    /// How long the server has not answered.
    pub(crate) fn lost_for(&self, now: Instant) -> Option<Duration> {
        let (since, _) = self.lost.as_ref()?;
        Some(now.saturating_duration_since(*since))
    }
}

/// The index of a column.
fn column(tab: Tab, title: &str) -> usize {
    let found = columns(tab).iter().position(|column| column.title == title);
    found.expect("a test opens every page")
}

fn words(filter: &str) -> Vec<String> {
    filter.split_whitespace().map(str::to_lowercase).collect()
}

/// The pairs of a filter of sessions, for the server, and the words to find in the rows.
pub(crate) fn split(filter: &str) -> (Vec<(String, String)>, Vec<String>) {
    let (mut pairs, mut rest) = (Vec::new(), Vec::new());
    for word in filter.split_whitespace() {
        match word.split_once('=') {
            Some((key, value)) => pairs.push((key.replace('-', "_"), value.to_owned())),
            None => rest.push(word.to_lowercase()),
        }
    }
    (pairs, rest)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn pairs_are_for_the_server_and_words_for_the_rows() {
        let (pairs, words) = split(" idle-min=10m WEB listener=a=b ");
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(pairs, [pair("idle_min", "10m"), pair("listener", "a=b")]);
        assert_eq!(words, ["web"]);
    }
}
