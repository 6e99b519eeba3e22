//! The drawing: head, tabs, a table or a session, the last line. Independent of the terminal.

mod head;
mod palette;
mod session;
mod table;

use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

pub(crate) use self::palette::Palette;
use self::palette::cut;
use crate::grid::Tone;
use crate::keys::{HELP, hints};
use crate::state::{Mode, State};

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
