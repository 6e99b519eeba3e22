//! The process in two lines, and the line of tabs.

use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Sparkline;

use super::palette::{Palette, cut};
use crate::grid::Tone;
use crate::poll::Look;
use crate::rates::{Counter, What};
use crate::state::{History, State};
use crate::tables::Tab;
use crate::units::{bytes_rate, grouped, rate, time};

/// The longest sparkline.
const COURSE_COLUMNS: u16 = 30;

pub(super) fn draw(
    frame: &mut Frame<'_>,
    place: Rect,
    state: &State,
    palette: Palette,
    now: Instant,
) {
    let [first, second] = Layout::vertical([Constraint::Length(1); 2]).areas(place);
    let word = word(state, palette, now);
    let width = u16::try_from(word.width()).unwrap_or(u16::MAX);
    let halves = [Constraint::Fill(1), Constraint::Length(width)];
    let [left, right] = Layout::horizontal(halves).spacing(1).areas(first);
    frame.render_widget(word, right);
    let Some(look) = &state.latest else {
        return;
    };
    let of = &look.status;
    let bold = Style::default().add_modifier(Modifier::BOLD);
    let tone = match of.state.as_str() {
        "serving" => Tone::Good,
        _ => Tone::Warn,
    };
    let facts = format!(
        "  pid {}  up {}  generation {}  {}",
        of.pid,
        time(of.uptime_s * 1000),
        of.generation,
        of.configuration
    );
    let line = Line::from(vec![
        Span::styled(format!("corelane {} ", of.version), bold),
        Span::styled(of.state.clone(), palette.tone(tone)),
        Span::styled(facts, palette.tone(Tone::Dim)),
    ]);
    frame.render_widget(line, left);
    figures(frame, second, state, look, palette);
}

/// What the view does.
fn word(state: &State, palette: Palette, now: Instant) -> Line<'static> {
    match state.lost_for(now) {
        Some(lost) => {
            let ms = u64::try_from(lost.as_millis()).unwrap_or(u64::MAX);
            let text = format!("NO ANSWER for {}", time(ms / 1000 * 1000));
            Line::styled(text, palette.tone(Tone::Bad))
        }
        None if state.is_frozen => Line::styled("FROZEN", palette.tone(Tone::Warn)),
        None => {
            let ms = u64::try_from(state.interval.as_millis()).unwrap_or(u64::MAX);
            Line::styled(format!("every {}", time(ms)), palette.tone(Tone::Dim))
        }
    }
}

/// Sessions, and the traffic with its course.
fn figures(frame: &mut Frame<'_>, place: Rect, state: &State, look: &Look, palette: Palette) {
    let per_second = |what| look.rates.per_second(&Counter::Process(what));
    let shown = |what, show: fn(f64) -> String| {
        per_second(what).map_or_else(|| "-".to_owned(), |rate| format!("{}/s", show(rate)))
    };
    let of = &look.status.sessions;
    let sessions = format!("{} of {}", grouped(of.live), grouped(of.max));
    let parts: [(&str, String, &History); 3] = [
        (
            "sessions ",
            format!("{sessions}  +{}", shown(What::Begun, rate)),
            &state.begun,
        ),
        ("  received ", shown(What::In, bytes_rate), &state.received),
        ("  sent ", shown(What::Out, bytes_rate), &state.sent),
    ];
    let bold = Style::default().add_modifier(Modifier::BOLD);
    // Widths do not change with each figure.
    let texts: Vec<Line<'_>> = parts
        .iter()
        .zip([0, 12, 12])
        .map(|((name, value, _), width)| {
            let name = Span::styled(*name, palette.tone(Tone::Dim));
            Line::from(vec![name, Span::styled(format!("{value:<width$} "), bold)])
        })
        .collect();
    let used: usize = texts.iter().map(Line::width).sum();
    let free = usize::from(place.width).saturating_sub(used) / parts.len();
    let course = u16::try_from(free).unwrap_or(u16::MAX).min(COURSE_COLUMNS);
    let widths = texts.iter().flat_map(|text| {
        let width = u16::try_from(text.width()).unwrap_or(u16::MAX);
        [Constraint::Length(width), Constraint::Length(course)]
    });
    let places = Layout::horizontal(widths).split(place);
    for (at, (text, (_, _, history))) in texts.into_iter().zip(parts).enumerate() {
        frame.render_widget(text, places[2 * at]);
        let bars = Sparkline::default()
            .data(history.newest(course))
            .style(palette.accent());
        frame.render_widget(bars, places[2 * at + 1]);
    }
}

/// The pages, and the filter of the present one.
pub(super) fn tabs(frame: &mut Frame<'_>, place: Rect, state: &State, palette: Palette) {
    let mut spans = Vec::new();
    for (number, tab) in (1..).zip(Tab::ALL) {
        let name = format!(" {number} {} ", tab.name());
        let style = match tab == state.tab {
            true => Style::default().add_modifier(Modifier::REVERSED | Modifier::BOLD),
            false => Style::default(),
        };
        spans.push(Span::styled(name, style));
    }
    let used: usize = spans.iter().map(Span::width).sum();
    let said = match &state.page {
        Some(page) => format!("  session {}", page.id),
        None => {
            let shown = grouped(state.grid.rows.len() as u64);
            match (state.place().filter.as_str(), left_out(state)) {
                ("", None) => format!("  {shown} shown"),
                ("", Some(why)) => format!("  {why}"),
                (filter, None) => format!("  {shown} shown: {filter}"),
                (filter, Some(why)) => format!("  {why}: {filter}"),
            }
        }
    };
    let room = usize::from(place.width).saturating_sub(used);
    spans.push(Span::styled(cut(&said, room), palette.accent()));
    frame.render_widget(Line::from(spans), place);
}

/// Why the list of sessions is not whole.
fn left_out(state: &State) -> Option<String> {
    let sessions = state.latest.as_ref()?.sessions.as_ref()?;
    if state.tab != Tab::Sessions {
        return None;
    }
    match sessions {
        Err(failed) => Some(failed.to_string()),
        Ok(of) if of.more => Some(format!(
            "the first {}, there are more",
            grouped(of.list.len() as u64)
        )),
        Ok(_) => None,
    }
}
