//! The content of the live view: a row for each figure, with a sparkline of the last minutes.
//! Independent of the terminal.

use std::collections::VecDeque;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline};

use crate::measure::progress::{Flow, Phase, Snapshot};
use crate::outcome::Second;
use crate::stats::float;
use crate::text::figures::{Unit, grouped, maybe};
use crate::text::wrap::wrapped;

/// Samples kept: the width of a very wide terminal.
const HISTORY: usize = 512;
/// Widths of a figure's name and value.
const NAME_COLUMNS: u16 = 17;
const VALUE_COLUMNS: u16 = 15;
/// Lines besides title and figures: the part, two blank lines, and the hint.
const FRAME_LINES: u16 = 4;
/// The longest title in lines: the figures matter more.
const TITLE_LINES: usize = 3;

/// A figure with a sparkline.
struct Figure {
    name: &'static str,
    unit: Unit,
    color: Color,
    read: fn(&Second) -> Option<f64>,
}

const FIGURES: [Figure; 9] = [
    Figure {
        name: "rate",
        unit: Unit::Rate,
        color: Color::Cyan,
        read: |row| Some(row.rate),
    },
    Figure {
        name: "sent",
        unit: Unit::Throughput,
        color: Color::Cyan,
        read: |row| Some(row.sent_bytes_per_second),
    },
    Figure {
        name: "received",
        unit: Unit::Throughput,
        color: Color::Green,
        read: |row| Some(row.received_bytes_per_second),
    },
    Figure {
        name: "p50",
        unit: Unit::Time,
        color: Color::Green,
        read: |row| row.latency.p50.map(float),
    },
    Figure {
        name: "p99",
        unit: Unit::Time,
        color: Color::Yellow,
        read: |row| row.latency.p99.map(float),
    },
    Figure {
        name: "p99.9",
        unit: Unit::Time,
        color: Color::Magenta,
        read: |row| row.latency.p99_9.map(float),
    },
    Figure {
        name: "server CPU",
        unit: Unit::Cores,
        color: Color::Blue,
        read: |row| row.server_cores,
    },
    Figure {
        name: "server memory",
        unit: Unit::Memory,
        color: Color::Blue,
        read: |row| row.server_rss_bytes.map(float),
    },
    Figure {
        name: "client's lane",
        unit: Unit::Cores,
        color: Color::DarkGray,
        read: |row| row.generator_cores,
    },
];

/// The state of the live view.
#[derive(Debug)]
pub(crate) struct View {
    title: String,
    latest: Option<Snapshot>,
    rows: VecDeque<Second>,
}

impl View {
    /// An empty view. `title` is the command line.
    pub(crate) fn new(title: String) -> Self {
        Self {
            title,
            latest: None,
            rows: VecDeque::with_capacity(HISTORY),
        }
    }

    /// Adds a second.
    pub(crate) fn add(&mut self, snapshot: &Snapshot) {
        if self.rows.len() == HISTORY {
            self.rows.pop_front();
        }
        // Without the histogram, to keep memory constant.
        self.rows.push_back(Second {
            histogram: None,
            ..snapshot.second.clone()
        });
        self.latest = Some(snapshot.clone());
    }

    /// Draws as much as fits, the most important at the top.
    pub(crate) fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area().inner(ratatui::layout::Margin::new(1, 0));
        let figures: Vec<&Figure> = FIGURES.iter().filter(|figure| self.has(figure)).collect();
        let wanted = u16::try_from(figures.len()).unwrap_or(u16::MAX);
        let phase = self.phase();
        let title = self.title(area.width.saturating_sub(columns(&phase) + 2));
        let title_lines = u16::try_from(title.len()).unwrap_or(u16::MAX);
        let lines = match area.height >= FRAME_LINES + title_lines + 2 + 2 * wanted {
            true => 2,
            false => 1,
        };
        let mut heights = vec![Constraint::Length(title_lines), Constraint::Length(2)];
        heights.extend(figures.iter().map(|_| Constraint::Length(lines)));
        heights.extend([Constraint::Length(1); 4]);
        let places = Layout::vertical(heights).split(area);
        head(frame, places[0], title, phase);
        let part = self
            .latest
            .as_ref()
            .and_then(|latest| latest.part.as_deref());
        frame.render_widget(Line::from(part.unwrap_or_default()), places[1]);
        for (figure, place) in figures.iter().zip(&places[2..]) {
            self.figure(figure, frame, *place);
        }
        self.counts(frame, &places[2 + figures.len()..]);
    }

    /// Whether the figure was measured, or is shown even without a value.
    fn has(&self, figure: &Figure) -> bool {
        match figure.unit {
            Unit::Throughput => self.is_bulk(),
            Unit::Rate | Unit::Time => !self.is_bulk(),
            _ => self.rows.iter().any(|row| (figure.read)(row).is_some()),
        }
    }

    /// Whether the load is `bulk`.
    fn is_bulk(&self) -> bool {
        let flow = self.latest.as_ref().map(|latest| latest.flow);
        flow == Some(Flow::Bytes)
    }

    /// The title, wrapped.
    fn title(&self, columns: u16) -> Vec<String> {
        let lines = wrapped(&self.title, usize::from(columns.max(1)));
        lines.lines().take(TITLE_LINES).map(str::to_owned).collect()
    }

    /// The phase, and its remaining time.
    fn phase(&self) -> String {
        let latest = self.latest.as_ref();
        let phase = latest.map_or(Phase::Connecting, |latest| latest.phase);
        let left = latest.and_then(|latest| latest.left_ns);
        let left = left.map(|nanos| format!(", {} s left", nanos.div_ceil(1_000_000_000)));
        format!("{}{}", phase.words(), left.unwrap_or_default())
    }

    fn figure(&self, figure: &Figure, frame: &mut Frame<'_>, place: Rect) {
        let columns = [
            Constraint::Length(NAME_COLUMNS),
            Constraint::Length(VALUE_COLUMNS),
            Constraint::Fill(1),
        ];
        let [name, value, course] = Layout::horizontal(columns).spacing(1).areas(place);
        // The bottom line of the sparkline.
        let last = |area: Rect| Rect {
            y: area.y + area.height.saturating_sub(1),
            height: area.height.min(1),
            ..area
        };
        frame.render_widget(Line::from(figure.name).dim(), last(name));
        let latest = self.rows.back().and_then(figure.read);
        let shown = maybe(latest, |value| figure.unit.show(value));
        frame.render_widget(Line::from(shown).right_aligned().bold(), last(value));
        let newest = self.rows.len().saturating_sub(usize::from(course.width));
        let bars = self.rows.iter().skip(newest);
        let bars: Vec<Option<u64>> = bars.map(|row| (figure.read)(row).map(bar)).collect();
        let course_style = Style::default().fg(figure.color);
        frame.render_widget(Sparkline::default().data(bars).style(course_style), course);
    }

    fn counts(&self, frame: &mut Frame<'_>, places: &[Rect]) {
        let Some(latest) = &self.latest else {
            return;
        };
        let open = format!("{} of {}", latest.second.connections, latest.connections);
        let errors = match latest.errors {
            0 => Span::from("0").bold(),
            some => Span::from(grouped(some)).red().bold(),
        };
        let messages = Span::from(grouped(latest.messages)).bold();
        let columns = usize::from(NAME_COLUMNS + 1);
        let mut counts = vec![("connections", Span::from(open).bold()), ("errors", errors)];
        if !self.is_bulk() {
            counts.push(("measured", messages));
        }
        for ((name, count), place) in counts.into_iter().zip(places) {
            let name = Span::from(format!("{name:<columns$}")).dim();
            frame.render_widget(Line::from(vec![name, count]), *place);
        }
        if let Some(place) = places.get(3) {
            let hint = "Ctrl-C ends the load and shows its results";
            frame.render_widget(Line::from(hint).dim(), *place);
        }
    }
}

/// The title, with the phase beside the first line.
fn head(frame: &mut Frame<'_>, place: Rect, title: Vec<String>, phase: String) {
    let halves = Layout::horizontal([Constraint::Fill(1), Constraint::Length(columns(&phase))]);
    let [left, right] = halves.spacing(2).areas(place);
    let lines: Vec<Line<'_>> = title
        .into_iter()
        .map(|line| Line::from(line).bold())
        .collect();
    frame.render_widget(Paragraph::new(lines), left);
    frame.render_widget(Line::from(phase).bold(), right);
}

fn columns(text: &str) -> u16 {
    u16::try_from(text.chars().count()).unwrap_or(u16::MAX)
}

/// The height of a bar. A sparkline scales to the highest bar, so the unit is arbitrary.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is measured is not below zero, and what does not fit shows as the highest"
)]
fn bar(value: f64) -> u64 {
    (value * 1000.0) as u64
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::{HISTORY, View};
    use crate::measure::progress::{Flow, Phase, Snapshot};
    use crate::outcome::{Percentiles, Second};

    fn snapshot(rate: f64, errors: u64) -> Snapshot {
        Snapshot {
            phase: Phase::Measuring,
            flow: Flow::Messages,
            part: Some("step 2, 40000/s".to_owned()),
            connections: 50,
            second: Second {
                start_ns: 0,
                length_ns: 1_000_000_000,
                rate,
                sent_bytes_per_second: 0.0,
                received_bytes_per_second: 0.0,
                latency: Percentiles {
                    p50: Some(50_000),
                    p99: Some(1_234_000),
                    ..Percentiles::default()
                },
                histogram: None,
                errors,
                connections: 49,
                generator_cores: Some(0.25),
                server_cores: Some(0.75),
                server_rss_bytes: None,
            },
            messages: 1_234_567,
            errors,
            left_ns: Some(7_100_000_000),
        }
    }

    /// The lines of a terminal of this size.
    fn drawn(view: &View, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let line = |y| {
            let cells = (0..width).map(|x| buffer[(x, y)].symbol().to_owned());
            cells.collect::<String>().trim_end().to_owned()
        };
        (0..height).map(line).collect()
    }

    #[test]
    fn every_figure_has_a_row_and_a_sparkline() {
        let mut view = View::new("run 127.0.0.1:7007".to_owned());
        for rate in [10_000.0, 20_000.0, 40_000.0] {
            view.add(&snapshot(rate, 0));
        }
        assert_eq!(
            drawn(&view, 60, 14),
            [
                " run 127.0.0.1:7007                     measuring, 8 s left",
                " step 2, 40000/s",
                "",
                " rate                     40,000/s ▂▄█",
                " p50                       50.0 µs ███",
                " p99                       1.23 ms ███",
                " p99.9                         n/a",
                " server CPU             0.75 cores ███",
                " client's lane          0.25 cores ███",
                " connections       49 of 50",
                " errors            0",
                " measured          1,234,567",
                " Ctrl-C ends the load and shows its results",
                "",
            ]
        );
    }

    #[test]
    fn a_long_command_goes_on_in_the_next_line_between_words() {
        let title = "run 127.0.0.1:7008 --rate 20k --connections 50 --server-pid 4711";
        let mut view = View::new(title.to_owned());
        view.add(&snapshot(1.0, 0));
        let lines = drawn(&view, 60, 24);
        assert_eq!(
            lines[..3],
            [
                " run 127.0.0.1:7008 --rate 20k          measuring, 8 s left",
                "   --connections 50 --server-pid 4711",
                " step 2, 40000/s",
            ]
        );
    }

    #[test]
    fn bulk_shows_bytes_instead_of_messages() {
        let mut view = View::new("bulk".to_owned());
        let mut bytes = snapshot(0.0, 0);
        bytes.flow = Flow::Bytes;
        bytes.second.sent_bytes_per_second = 1.5e9;
        view.add(&bytes);
        let lines = drawn(&view, 60, 14);
        assert_eq!(lines[3], " sent                    1.50 GB/s █");
        assert_eq!(lines[4], " received                    0 B/s");
        assert_eq!(lines[5], " server CPU             0.75 cores █");
    }

    #[test]
    fn a_tall_terminal_has_taller_sparklines() {
        let mut view = View::new("run".to_owned());
        view.add(&snapshot(10_000.0, 3));
        view.add(&snapshot(20_000.0, 3));
        let lines = drawn(&view, 60, 40);
        assert_eq!(lines[3], "                                    █");
        assert_eq!(lines[4], " rate                     20,000/s ██");
        assert!(
            lines.contains(&" errors            3".to_owned()),
            "{lines:?}"
        );
    }

    #[test]
    fn any_terminal_size_and_an_empty_view_can_be_drawn() {
        let mut view = View::new("a title that is far too long for it".to_owned());
        for (width, height) in [(1, 1), (3, 2), (20, 5), (200, 3), (80, 24)] {
            drawn(&view, width, height);
        }
        let first = drawn(&view, 80, 24);
        assert!(first[0].ends_with("connecting"), "{first:?}");
        for _ in 0..2 * HISTORY {
            view.add(&snapshot(1.0, 0));
        }
        assert_eq!(view.rows.len(), HISTORY);
        for (width, height) in [(1, 1), (3, 2), (20, 5), (200, 3), (1000, 60)] {
            drawn(&view, width, height);
        }
    }
}
