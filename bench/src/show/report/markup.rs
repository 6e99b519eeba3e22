//! A builder of HTML. Markup must be a literal of the program; all other text is escaped. So no
//! text from a file can become markup.

use std::fmt::Display;

use crate::text::figures::trimmed;

/// A piece of the page. Also well-formed XML, for the tests.
#[derive(Debug, Default)]
pub(crate) struct Markup(String);

impl Markup {
    /// Adds literal markup.
    pub(crate) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text, escaped.
    pub(crate) fn text(&mut self, text: impl Display) -> &mut Self {
        escape(&text.to_string(), &mut self.0);
        self
    }

    /// Adds another piece.
    pub(crate) fn markup(&mut self, markup: &Self) -> &mut Self {
        self.0.push_str(&markup.0);
        self
    }

    /// Opens an element.
    pub(crate) fn open(&mut self, tag: &'static str, attributes: &[Attribute<'_>]) -> &mut Self {
        self.begin(tag, attributes);
        self.raw(">")
    }

    /// Closes an element.
    pub(crate) fn close(&mut self, tag: &'static str) -> &mut Self {
        self.raw("</").raw(tag).raw(">\n")
    }

    /// An element without content.
    pub(crate) fn empty(&mut self, tag: &'static str, attributes: &[Attribute<'_>]) -> &mut Self {
        self.begin(tag, attributes);
        self.raw("/>")
    }

    /// An element with text only.
    pub(crate) fn element(
        &mut self,
        tag: &'static str,
        attributes: &[Attribute<'_>],
        text: impl Display,
    ) -> &mut Self {
        self.open(tag, attributes).text(text).close(tag)
    }

    /// Data for the page's script: JSON in a hidden element.
    pub(crate) fn data(&mut self, json: &str) -> &mut Self {
        self.raw("<script type=\"application/json\">");
        // A script ends only at its end tag. In JSON these three characters occur only in strings.
        for part in json.chars() {
            match part {
                '<' => self.0.push_str("\\u003c"),
                '>' => self.0.push_str("\\u003e"),
                '&' => self.0.push_str("\\u0026"),
                other => self.0.push(other),
            }
        }
        self.close("script")
    }

    /// The finished page.
    pub(crate) fn into_text(self) -> String {
        self.0
    }

    fn begin(&mut self, tag: &'static str, attributes: &[Attribute<'_>]) {
        self.raw("<").raw(tag);
        for (name, value) in attributes {
            self.raw(" ").raw(name).raw("=\"").text(value).raw("\"");
        }
    }
}

/// Name and value; the value is escaped.
pub(crate) type Attribute<'a> = (&'static str, &'a dyn Display);

/// A coordinate with two decimals, to keep the page small.
pub(crate) fn pixels(value: f64) -> String {
    trimmed(&format!("{value:.2}")).to_owned()
}

fn escape(text: &str, to: &mut String) {
    for part in text.chars() {
        match part {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '"' => to.push_str("&quot;"),
            '\'' => to.push_str("&#39;"),
            '\n' | '\t' => to.push(part),
            // Invalid in every document (XML 1.0, section 2.2), and executed by a terminal.
            control if control.is_control() => to.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => to.push('\u{fffd}'),
            other => to.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Markup, pixels};

    #[test]
    fn text_cannot_become_markup() {
        let evil = "</p><script>f('1')</script>&\"\u{1b}[2J";
        let safe = "&lt;/p&gt;&lt;script&gt;f(&#39;1&#39;)&lt;/script&gt;&amp;&quot;\u{fffd}[2J";
        let mut markup = Markup::default();
        markup.element("p", &[("title", &evil)], evil);
        assert_eq!(
            markup.into_text(),
            format!("<p title=\"{safe}\">{safe}</p>\n")
        );
    }

    #[test]
    fn data_cannot_end_its_script() {
        let mut markup = Markup::default();
        markup.data("[\"</script><!--&\"]");
        let data = "[\"\\u003c/script\\u003e\\u003c!--\\u0026\"]";
        let element = format!("<script type=\"application/json\">{data}</script>\n");
        assert_eq!(markup.into_text(), element);
    }

    #[test]
    fn coordinates_are_short() {
        for (value, text) in [
            (1.0, "1"),
            (1.005, "1"),
            (0.126, "0.13"),
            (-0.001, "0"),
            (100.0, "100"),
        ] {
            assert_eq!(pixels(value), text);
        }
    }
}
