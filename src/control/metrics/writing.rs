//! A page in the making, part after part: the control thread serves other requests in between.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};
use prometheus_client::registry::Registry;

use super::families::Families;
use super::format::Format;
use super::page::{Page, Part};

/// The listeners, endpoints or lanes of a part. A histogram of as many takes some 0.5 ms.
pub(super) const OF_PART: usize = 128;

/// A page in the making.
#[derive(Debug)]
pub(super) struct Writing {
    families: Arc<Families>,
    format: Format,
    /// The number of things with rows, for each family.
    lengths: Vec<usize>,
    of_part: usize,
    next: Part,
    page: String,
}

impl Writing {
    /// An empty page, to be written in parts of so many things.
    ///
    /// # Errors
    /// As [`Self::write_part`].
    pub(super) fn new(
        families: Families,
        format: Format,
        of_part: usize,
    ) -> Result<Self, fmt::Error> {
        let mut counted = Page::counted();
        families.write(&mut counted)?;
        Ok(Self {
            families: Arc::new(families),
            format,
            lengths: counted.lengths(),
            of_part,
            next: Part {
                family: 0,
                of: 0..0,
            },
            page: String::new(),
        })
    }

    /// Writes the next part; false at the end of the page.
    ///
    /// # Errors
    /// None in practice: text is written to memory.
    pub(super) fn write_part(&mut self) -> Result<bool, fmt::Error> {
        let Some(length) = self.lengths.get(self.next.family) else {
            return Ok(false);
        };
        let begin = self.next.of.end;
        let end = length.min(&(begin.saturating_add(self.of_part))).to_owned();
        self.next.of = begin..end;
        let is_last = end == *length;
        let collected = Collected {
            families: Arc::clone(&self.families),
            part: self.next.clone(),
        };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(collected));
        let written = self.page.len();
        match self.format {
            Format::Prometheus => prometheus_text::encode(&mut self.page, &registry)?,
            Format::OpenMetrics => text::encode_registry(&mut self.page, &registry)?,
        }
        if begin > 0 {
            self.leave_out_head(written);
        }
        if is_last {
            let family = self.next.family + 1;
            self.next = Part { family, of: 0..0 };
        }
        Ok(true)
    }

    /// A family has a single head: the lines of the type and the meaning.
    fn leave_out_head(&mut self, from: usize) {
        let lines = self.page[from..].split_inclusive('\n');
        let head = lines.take_while(|line| line.starts_with('#'));
        let bytes: usize = head.map(str::len).sum();
        self.page.drain(from..from + bytes);
    }

    /// The page, after its last part.
    ///
    /// # Errors
    /// As [`Self::write_part`].
    pub(super) fn finish(mut self) -> Result<String, fmt::Error> {
        if self.format == Format::OpenMetrics {
            text::encode_eof(&mut self.page)?;
        }
        Ok(self.page)
    }
}

/// A part, as the crate collects it.
#[derive(Debug)]
struct Collected {
    families: Arc<Families>,
    part: Part,
}

impl Collector for Collected {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page::of(encoder, self.part.clone());
        self.families.write(&mut page)
    }
}
