//! A plot as SVG: axes, lines, marks, a legend, and the values for the page's script. Hand-written:
//! plotting crates use fixed colours, while these follow the reader's light or dark mode by CSS.

use serde::Serialize;

use super::axis::Axis;
use super::markup::{Attribute, Markup, pixels};

/// The colours of `page.css`. Further lines start again with the first colour.
pub(crate) const COLORS: usize = 8;

/// The margins of the drawing, for labels.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;

/// The stroke of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dash {
    Solid,
    Dashed,
    Dotted,
}

/// A line of the plot.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The entry in the legend; lines with the same name share one.
    pub(crate) name: String,
    /// The colour, modulo [`COLORS`].
    pub(crate) color: usize,
    pub(crate) dash: Dash,
    /// Drawn faint, where the sample is small.
    pub(crate) faint: bool,
    /// Draws a dot at each point.
    pub(crate) dots: bool,
    /// A missing value interrupts the line.
    pub(crate) points: Vec<(f64, Option<f64>)>,
}

impl Line {
    /// A solid line.
    pub(crate) fn new(name: &str, color: usize, points: Vec<(f64, Option<f64>)>) -> Self {
        Self {
            name: name.to_owned(),
            color,
            dash: Dash::Solid,
            faint: false,
            dots: false,
            points,
        }
    }

    /// Whether no point has a value.
    pub(crate) fn is_empty(&self) -> bool {
        self.points.iter().all(|(_, y)| y.is_none())
    }

    /// The existing values.
    pub(crate) fn values(&self) -> impl Iterator<Item = f64> {
        self.points.iter().filter_map(|(_, y)| *y)
    }
}

/// An entry of the legend: a stroke and its meaning.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    name: String,
    /// The CSS class of the stroke.
    class: String,
}

impl Entry {
    /// An entry for a colour.
    pub(crate) fn color(name: &str, color: usize) -> Self {
        Self::of(&Line::new(name, color, Vec::new()))
    }

    /// An entry for a stroke, in a neutral colour.
    pub(crate) fn dash(name: &str, dash: Dash) -> Self {
        Self {
            name: name.to_owned(),
            class: format!("line ink{}", dash.class()),
        }
    }

    fn of(line: &Line) -> Self {
        let faint = false;
        Self {
            name: line.name.clone(),
            class: class(&Line {
                faint,
                ..line.clone()
            }),
        }
    }
}

impl Dash {
    fn class(self) -> &'static str {
        match self {
            Self::Solid => "",
            Self::Dashed => " dashed",
            Self::Dotted => " dotted",
        }
    }
}

/// A mark behind the lines.
#[derive(Clone, Debug)]
pub(crate) enum Mark {
    /// Shades all values of x below this one. The text is in the legend.
    Before(f64, String),
    /// A vertical rule at x.
    At(f64, String),
    /// A horizontal rule at y. The text is in the legend.
    Level(f64, String),
}

/// A plot with its caption.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    /// The id of the element.
    pub(crate) id: &'static str,
    pub(crate) title: String,
    /// A note below the drawing.
    pub(crate) note: Option<String>,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) marks: Vec<Mark>,
    pub(crate) lines: Vec<Line>,
    /// The entries of the legend; `None` for one entry a line.
    pub(crate) legend: Option<Vec<Entry>>,
    /// As wide as the page, instead of half as wide.
    pub(crate) wide: bool,
}

/// A line in the data for the script.
#[derive(Serialize)]
struct Data<'a> {
    name: &'a str,
    color: usize,
    /// Coordinates, and both values as text.
    points: Vec<(f64, f64, String, String)>,
}

impl Plot {
    /// The plot as a `figure` element.
    pub(crate) fn figure(&self) -> Markup {
        let mut figure = Markup::default();
        let class = match self.wide {
            true => "plot wide",
            false => "plot",
        };
        figure.open("figure", &[("class", &class), ("id", &self.id)]);
        figure.open("figcaption", &[]);
        figure.element("h3", &[], &self.title);
        self.legend(&mut figure);
        figure.close("figcaption");
        self.drawing(&mut figure);
        if let Some(note) = &self.note {
            figure.element("p", &[("class", &"note")], note);
        }
        let data = serde_json::to_string(&self.data());
        figure.data(&data.expect("numbers and strings can be written"));
        figure.close("figure");
        figure
    }

    fn width(&self) -> f64 {
        match self.wide {
            true => 1120.0,
            false => 548.0,
        }
    }

    fn height(&self) -> f64 {
        match self.wide {
            true => 380.0,
            false => 250.0,
        }
    }

    fn left_to_right(&self, x: f64) -> f64 {
        LEFT + self.x.place(x) * (self.width() - LEFT - RIGHT)
    }

    fn top_to_bottom(&self, y: f64) -> f64 {
        TOP + (1.0 - self.y.place(y)) * (self.height() - TOP - BOTTOM)
    }

    fn legend(&self, figure: &mut Markup) {
        figure.open("ul", &[("class", &"legend")]);
        for entry in self.legend.clone().unwrap_or_else(|| self.each_line()) {
            key(figure, &entry.class, &entry.name);
        }
        for mark in &self.marks {
            match mark {
                Mark::Before(_, text) => key(figure, "shade", text),
                Mark::Level(_, text) => key(figure, "rule", text),
                Mark::At(..) => {}
            }
        }
        figure.close("ul");
    }

    /// One entry for each distinct name.
    fn each_line(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for line in self.lines.iter().filter(|line| !line.is_empty()) {
            if !entries.iter().any(|other| other.name == line.name) {
                entries.push(Entry::of(line));
            }
        }
        entries
    }

    fn drawing(&self, figure: &mut Markup) {
        let (width, height) = (pixels(self.width()), pixels(self.height()));
        let view = format!("0 0 {width} {height}");
        figure.open(
            "svg",
            &[
                ("class", &"drawing"),
                ("viewBox", &view),
                ("role", &"img"),
                ("aria-label", &self.title),
            ],
        );
        self.behind(figure);
        self.grid(figure);
        for mark in &self.marks {
            self.mark(mark, figure);
        }
        for line in &self.lines {
            self.line(line, figure);
        }
        figure.empty("path", &[("class", &"guide"), ("d", &"")]);
        figure.close("svg");
    }

    /// The shaded areas.
    fn behind(&self, figure: &mut Markup) {
        for mark in &self.marks {
            if let Mark::Before(x, _) = mark {
                let right = self.left_to_right(*x);
                let height = self.height() - TOP - BOTTOM;
                figure.empty(
                    "rect",
                    &[
                        ("class", &"shade"),
                        ("x", &pixels(LEFT)),
                        ("y", &pixels(TOP)),
                        ("width", &pixels(right - LEFT)),
                        ("height", &pixels(height)),
                    ],
                );
            }
        }
    }

    fn grid(&self, figure: &mut Markup) {
        let (right, bottom) = (self.width() - RIGHT, self.height() - BOTTOM);
        for tick in self.y.ticks() {
            let y = self.top_to_bottom(tick.value);
            let path = format!("M{} {}H{}", pixels(LEFT), pixels(y), pixels(right));
            grid_line(figure, tick.name.is_some(), &path);
            if let Some(name) = &tick.name {
                label(figure, "tick", (LEFT - 8.0, y + 4.0), "end", name);
            }
        }
        let mut free_from = 0.0;
        for tick in self.x.ticks() {
            let x = self.left_to_right(tick.value);
            let path = format!("M{} {}V{}", pixels(x), pixels(TOP), pixels(bottom));
            grid_line(figure, tick.name.is_some(), &path);
            if let Some(name) = &tick.name {
                let half = half_width(name);
                let middle = x.min(self.width() - half);
                if middle - half >= free_from {
                    label(figure, "tick", (middle, bottom + 19.0), "middle", name);
                    free_from = middle + half + 8.0;
                }
            }
        }
    }

    fn mark(&self, mark: &Mark, figure: &mut Markup) {
        let (right, bottom) = (self.width() - RIGHT, self.height() - BOTTOM);
        match mark {
            Mark::Before(..) => {}
            Mark::At(x, text) => {
                let x = self.left_to_right(*x);
                let path = format!("M{} {}V{}", pixels(x), pixels(TOP), pixels(bottom));
                figure.empty("path", &[("class", &"rule"), ("d", &path)]);
                let (anchor, off) = match x > right - 120.0 {
                    true => ("end", -5.0),
                    false => ("start", 5.0),
                };
                label(figure, "mark", (x + off, TOP + 12.0), anchor, text);
            }
            Mark::Level(y, _) => {
                let y = self.top_to_bottom(*y);
                let path = format!("M{} {}H{}", pixels(LEFT), pixels(y), pixels(right));
                figure.empty("path", &[("class", &"rule"), ("d", &path)]);
            }
        }
    }

    fn line(&self, line: &Line, figure: &mut Markup) {
        let mut path = String::new();
        let mut draws = false;
        for (x, y) in &line.points {
            let Some(y) = y else {
                draws = false;
                continue;
            };
            let (x, y) = (self.left_to_right(*x), self.top_to_bottom(*y));
            let (x, y) = (pixels(x), pixels(y));
            // A point between two gaps becomes a dot: a line of no length with round ends.
            path += &match draws {
                true => format!("L{x} {y}"),
                false => format!("M{x} {y}h0"),
            };
            draws = true;
        }
        if path.is_empty() {
            return;
        }
        let class = class(line);
        figure.empty(
            "path",
            &[("class", &class), ("data-name", &line.name), ("d", &path)],
        );
        let dots = line.dots || line.values().count() == 1;
        for (x, y) in line.points.iter().filter(|_| dots) {
            if let Some(y) = y {
                let (x, y) = (self.left_to_right(*x), self.top_to_bottom(*y));
                let class = format!("dot c{}", line.color % COLORS);
                figure.empty(
                    "circle",
                    &[
                        ("class", &class),
                        ("cx", &pixels(x)),
                        ("cy", &pixels(y)),
                        ("r", &"3.5"),
                    ],
                );
            }
        }
    }

    fn data(&self) -> Vec<Data<'_>> {
        let of = |line: &Line| {
            let point = |(x, y): &(f64, Option<f64>)| {
                let y = (*y)?;
                Some((
                    rounded(self.left_to_right(*x)),
                    rounded(self.top_to_bottom(y)),
                    self.x.unit().show(*x),
                    self.y.unit().show(y),
                ))
            };
            line.points.iter().filter_map(point).collect()
        };
        let data = |line| Data {
            points: of(line),
            name: &line.name,
            color: line.color % COLORS,
        };
        self.lines.iter().map(data).collect()
    }
}

fn class(line: &Line) -> String {
    let faint = if line.faint { " faint" } else { "" };
    let color = line.color % COLORS;
    format!("line c{color}{}{faint}", line.dash.class())
}

fn key(figure: &mut Markup, class: &str, name: &str) {
    figure.open("li", &[]);
    figure.open(
        "svg",
        &[("viewBox", &"0 0 26 10"), ("aria-hidden", &"true")],
    );
    match class {
        "shade" => {
            let size: [Attribute<'_>; 3] = [("class", &class), ("width", &"26"), ("height", &"10")];
            figure.empty("rect", &size)
        }
        _ => figure.empty("path", &[("class", &class), ("d", &"M1 5H25")]),
    };
    figure.raw("</svg>").text(name).close("li");
}

/// About half the width of a label: digits are seven pixels wide.
fn half_width(name: &str) -> f64 {
    let length = u32::try_from(name.chars().count()).unwrap_or(u32::MAX);
    f64::from(length) * 3.5
}

fn grid_line(figure: &mut Markup, named: bool, path: &str) {
    let class = match named {
        true => "grid",
        false => "grid fine",
    };
    figure.empty("path", &[("class", &class), ("d", &path)]);
}

fn label(figure: &mut Markup, class: &str, (x, y): (f64, f64), anchor: &str, text: &str) {
    figure.element(
        "text",
        &[
            ("class", &class),
            ("x", &pixels(x)),
            ("y", &pixels(y)),
            ("text-anchor", &anchor),
        ],
        text,
    );
}

fn rounded(pixel: f64) -> f64 {
    (pixel * 10.0).round() / 10.0
}
