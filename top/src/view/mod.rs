//! The drawing: head, tabs, a table or a session, the last line. Independent of the terminal.

mod head;
mod session;
mod table;

use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

use crate::grid::Tone;
use crate::keys::{HELP, hints};
use crate::state::{Mode, State};

/// The colours, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    has_colors: bool,
}

impl Palette {
    /// Without colours if `NO_COLOR` has a value (<https://no-color.org>).
    pub(crate) fn of_environment() -> Self {
        let is_set = |value: std::ffi::OsString| !value.is_empty();
        Self {
            has_colors: !std::env::var_os("NO_COLOR").is_some_and(is_set),
        }
    }

    /// Of the sixteen colours that each terminal shows on its own background.
    fn tone(self, tone: Tone) -> Style {
        let style = Style::default();
        match tone {
            Tone::Plain => style,
            Tone::Good => self.color(style, Color::Green),
            Tone::Warn => self.color(style, Color::Yellow),
            Tone::Bad => self.color(style.add_modifier(Modifier::BOLD), Color::Red),
            Tone::Dim => style.add_modifier(Modifier::DIM),
        }
    }

    fn accent(self) -> Style {
        self.color(Style::default(), Color::Cyan)
    }

    fn color(self, style: Style, color: Color) -> Style {
        if self.has_colors {
            style.fg(color)
        } else {
            style
        }
    }
}

/// Draws as much as fits.
pub(crate) fn draw(frame: &mut Frame<'_>, state: &mut State, palette: Palette, now: Instant) {
    let heights = [
        Constraint::Length(2),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ];
    let [head, tabs, body, foot] = Layout::vertical(heights).areas(frame.area());
    head::draw(frame, head, state, palette, now);
    head::tabs(frame, tabs, state, palette);
    match state.page.is_some() {
        true => session::draw(frame, body, state, palette),
        false => table::draw(frame, body, state, palette),
    }
    last_line(frame, foot, state, palette);
    if state.mode == Mode::Help {
        help(frame, body, palette);
    }
}

fn last_line(frame: &mut Frame<'_>, place: Rect, state: &State, palette: Palette) {
    let strong = Style::default().add_modifier(Modifier::BOLD);
    let line = match (&state.mode, &state.message) {
        (Mode::Question(action), _) => {
            const ANSWERS: &str = " y/n ";
            let room = usize::from(place.width).saturating_sub(ANSWERS.len());
            let question = cut(&action.question(), room);
            let answers = Span::styled(ANSWERS, strong.add_modifier(Modifier::REVERSED));
            Line::from(vec![Span::styled(question, strong), answers])
        }
        (Mode::Filter(text), _) => {
            // The end of a long filter, where the cursor is.
            let room = usize::from(place.width).saturating_sub("filter: ".len() + 1);
            let skipped = text.chars().count().saturating_sub(room);
            let shown: String = text.chars().skip(skipped).collect();
            let cursor = Span::styled(" ", Style::default().add_modifier(Modifier::REVERSED));
            Line::from(vec![Span::styled("filter: ", strong), shown.into(), cursor])
        }
        (_, Some(message)) => {
            let tone = if message.is_failure {
                Tone::Bad
            } else {
                Tone::Good
            };
            Line::styled(message.text.clone(), palette.tone(tone))
        }
        _ => Line::styled(hints(state), palette.tone(Tone::Dim)),
    };
    frame.render_widget(line, place);
}

fn help(frame: &mut Frame<'_>, body: Rect, palette: Palette) {
    const KEYS: usize = 14;
    let lines = HELP.iter().map(|(keys, meaning)| {
        let keys = Span::styled(format!(" {keys:<KEYS$}"), palette.accent());
        Line::from(vec![keys, Span::from(*meaning)])
    });
    let title = Line::styled(" Keys", Style::default().add_modifier(Modifier::BOLD));
    let lines: Vec<Line<'_>> = std::iter::once(title).chain(lines).collect();
    frame.render_widget(Clear, body);
    frame.render_widget(Paragraph::new(lines), body);
}

/// The text in at most `columns`, with a mark where it is cut.
fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    if columns == 0 { kept } else { kept + "…" }
}
