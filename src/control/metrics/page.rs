//! Families of a kind with their rows, and the parts of a page. A test checks the names: a wrong
//! name loses the whole scrape.

use std::fmt;
use std::ops::Range;

use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::stats::Distribution;

/// A part of a page: a family by the place, and a range of the things with rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) family: usize,
    pub(super) of: Range<usize>,
}

/// Writes a part of a page, or counts the families.
#[derive(Debug)]
pub(super) struct Page<'e> {
    /// The encoder, and the part; without these the page is counted.
    writing: Option<(DescriptorEncoder<'e>, Part)>,
    /// The number of things with rows in each family so far.
    lengths: Vec<usize>,
}

/// The scale of a histogram: its unit, and the powers of four of its first and last bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    unit: fn() -> Unit,
    per_unit: f64,
    first: u32,
    last: u32,
}

impl Scale {
    /// Waits and answers, recorded in microseconds: 64 us to 67 s.
    pub(super) const WAIT: Self = Self::seconds(1e6, 3, 13);
    /// Lives of sessions, recorded in microseconds: 1 ms to 12 days.
    pub(super) const LIFE: Self = Self::seconds(1e6, 5, 20);
    /// Parts of a turn, recorded in nanoseconds: 1 us to 0.27 s.
    pub(super) const TURN: Self = Self::seconds(1e9, 5, 14);
    /// Stalls, recorded in nanoseconds: 67 ms to 69 s.
    pub(super) const STALL: Self = Self::seconds(1e9, 13, 18);
    /// Bytes: 64 to 1 TiB.
    pub(super) const BYTES: Self = Self {
        unit: || Unit::Bytes,
        per_unit: 1.0,
        first: 3,
        last: 20,
    };

    const fn seconds(per_unit: f64, first: u32, last: u32) -> Self {
        Self {
            unit: || Unit::Seconds,
            per_unit,
            first,
            last,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has 53 bits")]
impl<'e> Page<'e> {
    /// A page for counting.
    pub(super) fn counted() -> Self {
        Self {
            writing: None,
            lengths: Vec::new(),
        }
    }

    /// A page for writing a part.
    pub(super) fn of(encoder: DescriptorEncoder<'e>, part: Part) -> Self {
        Self {
            writing: Some((encoder, part)),
            lengths: Vec::new(),
        }
    }

    /// The number of things with rows, for each family.
    pub(super) fn lengths(self) -> Vec<usize> {
        self.lengths
    }

    /// Rows with counts since the start.
    pub(super) fn counter<'f, T, L: EncodeLabelSet, R: IntoIterator<Item = (L, u64)>>(
        &mut self,
        (name, unit): (&str, Option<Unit>),
        help: &str,
        all: &'f [T],
        rows: impl Fn(&'f T) -> R,
    ) -> fmt::Result {
        let kind = MetricType::Counter;
        self.family(
            name,
            unit.as_ref(),
            help,
            kind,
            (all, rows),
            |mut metric, value| metric.encode_counter::<NoLabelSet, _, u64>(&value, None),
        )
    }

    /// Rows with seconds since the start, given in nanoseconds.
    pub(super) fn seconds<'f, T, L: EncodeLabelSet, R: IntoIterator<Item = (L, u64)>>(
        &mut self,
        name: &str,
        help: &str,
        all: &'f [T],
        rows: impl Fn(&'f T) -> R,
    ) -> fmt::Result {
        let (kind, unit) = (MetricType::Counter, Some(&Unit::Seconds));
        self.family(name, unit, help, kind, (all, rows), |mut metric, nanos| {
            metric.encode_counter::<NoLabelSet, _, u64>(&(nanos as f64 / 1e9), None)
        })
    }

    /// Rows with present values.
    pub(super) fn gauge<'f, T, L: EncodeLabelSet, R: IntoIterator<Item = (L, u64)>>(
        &mut self,
        (name, unit): (&str, Option<Unit>),
        help: &str,
        all: &'f [T],
        rows: impl Fn(&'f T) -> R,
    ) -> fmt::Result {
        let kind = MetricType::Gauge;
        self.family(
            name,
            unit.as_ref(),
            help,
            kind,
            (all, rows),
            |mut metric, value| metric.encode_gauge(&value),
        )
    }

    /// Rows with histograms.
    pub(super) fn histogram<'f, T, L: EncodeLabelSet>(
        &mut self,
        (name, scale): (&str, Scale),
        help: &str,
        all: &'f [T],
        row: impl Fn(&'f T) -> (L, Distribution),
    ) -> fmt::Result {
        let Scale {
            unit,
            per_unit,
            first,
            last,
        } = scale;
        let (kind, unit) = (MetricType::Histogram, unit());
        let bound = |power| 4u64.pow(power) as f64 / per_unit;
        let bounds = (first..=last).map(bound).chain([f64::INFINITY]);
        let bounds: Vec<f64> = bounds.collect();
        let rows = (all, |of| [row(of)]);
        self.family(name, Some(&unit), help, kind, rows, |mut metric, of| {
            let counts = of.by_powers_of_four(first, last);
            let buckets: Vec<(f64, u64)> = bounds.iter().copied().zip(counts).collect();
            let sum = of.sum() as f64 / per_unit;
            metric.encode_histogram::<NoLabelSet>(sum, of.count(), &buckets, None)
        })
    }

    /// A row with labels alone.
    pub(super) fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) -> fmt::Result {
        let kind = MetricType::Info;
        let rows = (&[()][..], |&()| [([("", ""); 0], ())]);
        self.family(name, None, help, kind, rows, |mut metric, ()| {
            metric.encode_info(&labels)
        })
    }

    /// A family of this name: `rows` has the things with rows, and makes the rows of a thing.
    fn family<'f, T, L: EncodeLabelSet, V, R: IntoIterator<Item = (L, V)>>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        kind: MetricType,
        (all, rows): (&'f [T], impl Fn(&'f T) -> R),
        write: impl Fn(MetricEncoder<'_>, V) -> fmt::Result,
    ) -> fmt::Result {
        let place = self.lengths.len();
        self.lengths.push(all.len());
        let Some((encoder, part)) = self.writing.as_mut() else {
            return Ok(());
        };
        if part.family != place {
            return Ok(());
        }
        let of = all.get(part.of.clone()).unwrap_or_default();
        let mut family = encoder.encode_descriptor(name, help, unit, kind)?;
        for (labels, value) in of.iter().flat_map(rows) {
            write(family.encode_family(&labels)?, value)?;
        }
        Ok(())
    }
}
