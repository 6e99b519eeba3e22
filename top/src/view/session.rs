//! The page of a session: its facts, its traffic, and `TCP_INFO` of both connections.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Sparkline;
use serde_json::{Map, Value};

use super::palette::Palette;
use crate::api::WholeSession;
use crate::grid::Tone;
use crate::state::{History, Page, State};
use crate::units::{bytes, grouped, micros, time};

/// `TCP_INFO` in the order of its use; fields that are not here follow.
const ORDER: &[&str] = &[
    "state",
    "rtt_us",
    "rtt_variation_us",
    "rtt_min_us",
    "delivery_bytes_per_second",
    "retransmitted_segments",
    "lost_segments",
    "unacknowledged_segments",
    "unsent_bytes",
    "congestion_window",
    "peer_window_bytes",
    "last_received_ms",
    "last_sent_ms",
    "acknowledged_bytes",
    "received_bytes",
    "rto_us",
    "segment_bytes",
    "busy_us",
    "window_limited_us",
    "buffer_limited_us",
];
const NAME_COLUMNS: usize = 26;
const VALUE_COLUMNS: usize = 20;

pub(super) fn draw(frame: &mut Frame<'_>, place: Rect, state: &mut State, palette: Palette) {
    let Some(page) = &mut state.page else {
        return;
    };
    let heights = [
        Constraint::Length(4),
        Constraint::Length(2),
        Constraint::Length(1),
        Constraint::Fill(1),
    ];
    let [facts_at, traffic_at, heading_at, tcp_at] = Layout::vertical(heights).areas(place);
    let Some(of) = page.latest.clone() else {
        let why = page.ended.clone();
        let line = why.unwrap_or_else(|| "waiting for the server".to_owned());
        frame.render_widget(Line::from(line), facts_at);
        return;
    };
    facts(frame, facts_at, &of, page, palette);
    traffic(frame, traffic_at, &of, page, palette);
    let endpoint = if of.endpoint_tcp.is_some() {
        "ENDPOINT"
    } else {
        ""
    };
    let heading = format!(
        "{:<NAME_COLUMNS$}{:<VALUE_COLUMNS$}{endpoint}",
        "TCP", "CLIENT"
    );
    let width = usize::from(place.width);
    let style = Style::default().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
    frame.render_widget(
        Line::styled(format!("{heading:<width$}"), style),
        heading_at,
    );
    let lines = tcp(&of, palette);
    page.top = page
        .top
        .min(lines.len().saturating_sub(usize::from(tcp_at.height)));
    let shown = lines.into_iter().skip(page.top);
    for (y, line) in (tcp_at.y..tcp_at.bottom()).zip(shown) {
        frame.render_widget(
            line,
            Rect {
                y,
                height: 1,
                ..tcp_at
            },
        );
    }
}

fn facts(frame: &mut Frame<'_>, place: Rect, of: &WholeSession, page: &Page, palette: Palette) {
    let one = &of.session;
    let stage = match page.ended {
        Some(_) => "ended",
        None => one.stage(),
    };
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let rows = [
        [
            ("client", one.client.clone()),
            ("endpoint", dash(&one.endpoint)),
        ],
        [
            ("listener", one.listener.clone()),
            ("upstream", dash(&one.upstream)),
        ],
        [
            ("stage", stage.to_owned()),
            ("service", one.service.clone()),
        ],
        [
            (
                "age, idle",
                format!("{}, {}", time(one.age_ms), time(one.idle_ms)),
            ),
            (
                "lane, generation",
                format!("{}, {}", one.lane, one.generation),
            ),
        ],
    ];
    let lines = Layout::vertical([Constraint::Length(1); 4]).split(place);
    for (facts, line) in rows.into_iter().zip(lines.iter()) {
        let halves: [Rect; 2] = Layout::horizontal([Constraint::Fill(1); 2])
            .spacing(1)
            .areas(*line);
        for (at, ((name, value), half)) in facts.into_iter().zip(halves).enumerate() {
            let width = if at == 0 { 10 } else { 17 };
            let bold = Style::default().add_modifier(Modifier::BOLD);
            let name = Span::styled(format!("{name:<width$}"), palette.tone(Tone::Dim));
            frame.render_widget(Line::from(vec![name, Span::styled(value, bold)]), half);
        }
    }
}

fn traffic(frame: &mut Frame<'_>, place: Rect, of: &WholeSession, page: &Page, palette: Palette) {
    let lines: [Rect; 2] = Layout::vertical([Constraint::Length(1); 2]).areas(place);
    let rows: [(&str, u64, &History); 2] = [
        ("in", of.session.from_client_bytes, &page.received),
        ("out", of.session.to_client_bytes, &page.sent),
    ];
    for ((name, total, history), line) in rows.into_iter().zip(lines) {
        let widths = [Constraint::Length(37), Constraint::Fill(1)];
        let [text, course] = Layout::horizontal(widths).areas(line);
        let latest = history.newest(1).first().copied();
        let rate = latest.map_or_else(|| "-".to_owned(), |rate| format!("{}/s", bytes(rate)));
        let bold = Style::default().add_modifier(Modifier::BOLD);
        let spans = vec![
            Span::styled(format!("{name:<10}"), palette.tone(Tone::Dim)),
            Span::styled(format!("{:<12}", bytes(total)), bold),
            Span::styled(format!("{rate:<14}"), bold),
        ];
        frame.render_widget(Line::from(spans), text);
        let bars = Sparkline::default()
            .data(history.newest(course.width))
            .style(palette.accent());
        frame.render_widget(bars, course);
    }
}

/// A line for each field.
fn tcp(of: &WholeSession, palette: Palette) -> Vec<Line<'static>> {
    let (client, endpoint) = (of.client_tcp.as_ref(), of.endpoint_tcp.as_ref());
    let fields = client.or(endpoint).into_iter().flat_map(Map::keys);
    let rest = fields
        .map(String::as_str)
        .filter(|name| !ORDER.contains(name));
    let names = ORDER.iter().copied().chain(rest);
    let has = |name: &str| {
        let mut both = [client, endpoint].into_iter().flatten();
        both.any(|map| map.contains_key(name))
    };
    let line = |name: &str| {
        let value = |map: Option<&Map<String, Value>>| {
            map.and_then(|map| map.get(name))
                .map_or_else(String::new, |value| show(name, value))
        };
        let title = format!("{:<NAME_COLUMNS$}", label(name));
        let values = format!("{:<VALUE_COLUMNS$}{}", value(client), value(endpoint));
        Line::from(vec![
            Span::styled(title, palette.tone(Tone::Dim)),
            Span::from(values),
        ])
    };
    names.filter(|name| has(name)).map(line).collect()
}

/// `delivery_bytes_per_second` → `delivery`: the value has the unit.
fn label(name: &str) -> String {
    const UNITS: [&str; 4] = ["_bytes_per_second", "_bytes", "_us", "_ms"];
    let short = UNITS.iter().find_map(|unit| name.strip_suffix(unit));
    short.unwrap_or(name).replace('_', " ")
}

fn show(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        _ => match value.as_u64() {
            None => value.to_string(),
            Some(us) if name.ends_with("_us") => micros(us),
            Some(ms) if name.ends_with("_ms") => time(ms),
            Some(rate) if name.ends_with("_bytes_per_second") => format!("{}/s", bytes(rate)),
            Some(count) if name.ends_with("_bytes") => bytes(count),
            Some(count) => grouped(count),
        },
    }
}
