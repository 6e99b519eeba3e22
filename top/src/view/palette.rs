//! Colours, and text that is cut where it does not fit.

use ratatui::style::{Color, Modifier, Style};

use crate::grid::Tone;

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
    pub(super) fn tone(self, tone: Tone) -> Style {
        let style = Style::default();
        match tone {
            Tone::Plain => style,
            Tone::Good => self.color(style, Color::Green),
            Tone::Warn => self.color(style, Color::Yellow),
            Tone::Bad => self.color(style.add_modifier(Modifier::BOLD), Color::Red),
            Tone::Dim => style.add_modifier(Modifier::DIM),
        }
    }

    pub(super) fn accent(self) -> Style {
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

/// The text in at most `columns`, with a mark where it is cut.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    if columns == 0 { kept } else { kept + "…" }
}
