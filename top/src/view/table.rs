//! A table: its heading with the order, and the rows around the chosen one.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::palette::{Palette, cut};
use crate::grid::Tone;
use crate::state::State;
use crate::tables::{Tab, ends};

/// Columns between two cells.
const GAP: usize = 1;
/// A lower table is all rows.
const ROWS_MIN: u16 = 5;

pub(super) fn draw(frame: &mut Frame<'_>, place: Rect, state: &mut State, palette: Palette) {
    let place = ends_below(frame, place, state, palette);
    if place.height == 0 {
        return;
    }
    let rows = usize::from(place.height - 1);
    let scroll = state.place_mut();
    scroll.top = scroll.top.min(scroll.index);
    if scroll.index >= scroll.top + rows {
        scroll.top = scroll.index + 1 - rows.max(1);
    }
    let (grid, at) = (&state.grid, state.place());
    let columns = grid.fit(usize::from(place.width), GAP);
    let line = |y: usize| Rect {
        y: place.y + u16::try_from(y).unwrap_or(u16::MAX),
        height: 1,
        ..place
    };
    let heading: Vec<String> = columns
        .iter()
        .map(|(column, width)| {
            let arrow = match (at.sort == *column, at.is_descending) {
                (false, _) => "",
                (true, true) => "▼",
                (true, false) => "▲",
            };
            let of = grid.columns[*column];
            pad(&format!("{}{arrow}", of.title), *width, of.is_number)
        })
        .collect();
    let style = Style::default().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
    let gap = " ".repeat(GAP);
    let width = usize::from(place.width);
    let heading = format!("{:<width$}", heading.join(&gap));
    frame.render_widget(Line::styled(heading, style), line(0));
    for (y, (index, row)) in grid
        .rows
        .iter()
        .enumerate()
        .skip(at.top)
        .take(rows)
        .enumerate()
    {
        let mut spans = Vec::new();
        for (column, width) in &columns {
            let cell = &row.cells[*column];
            let text = pad(&cell.text, *width, grid.columns[*column].is_number);
            spans.extend([
                Span::styled(text, palette.tone(cell.tone)),
                gap.clone().into(),
            ]);
        }
        // Cells without text up to the edge, so that the chosen row is one bar.
        spans.push(" ".repeat(width).into());
        let style = match index == at.index {
            true => Style::default().add_modifier(Modifier::REVERSED),
            false => Style::default(),
        };
        frame.render_widget(Line::from(spans).patch_style(style), line(y + 1));
    }
    if grid.rows.is_empty() && rows > 0 {
        frame.render_widget(
            Line::styled(nothing(state), palette.tone(Tone::Dim)),
            line(1),
        );
    }
}

/// The ends of the chosen row in the last line, where there is room; returns the place above.
fn ends_below(frame: &mut Frame<'_>, place: Rect, state: &State, palette: Palette) -> Rect {
    let look = state.latest.as_ref().filter(|_| place.height >= ROWS_MIN);
    let said = look.and_then(|look| ends(state.tab, look, state.chosen()?));
    let Some(said) = said else {
        return place;
    };
    let y = place.bottom() - 1;
    let line = Rect {
        y,
        height: 1,
        ..place
    };
    let said = cut(&said, usize::from(place.width));
    frame.render_widget(Line::styled(said, palette.tone(Tone::Dim)), line);
    let height = place.height - 1;
    Rect { height, ..place }
}

/// Why there is no row.
fn nothing(state: &State) -> &'static str {
    let has_answer = state.latest.as_ref().is_some_and(|look| match state.tab {
        Tab::Sessions => look.sessions.is_some(),
        _ => true,
    });
    match (has_answer, state.place().filter.is_empty(), state.tab) {
        (false, ..) => "waiting for the server",
        (true, false, _) => "nothing passes the filter; Esc removes it",
        (true, true, Tab::Upstreams) => "no upstreams: every listener echoes",
        (true, true, Tab::Sessions) => "no sessions",
        (true, true, _) => "nothing",
    }
}

fn pad(text: &str, width: usize, is_right: bool) -> String {
    let text = cut(text, width);
    match is_right {
        true => format!("{text:>width$}"),
        false => format!("{text:<width$}"),
    }
}
