//! Families of one kind, each with its rows. Names are checked by a test: one wrong name loses the
//! whole scrape.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::stats::Distribution;

/// Writes families.
#[derive(Debug)]
pub(super) struct Page<'e>(pub(super) DescriptorEncoder<'e>);

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
impl Page<'_> {
    /// Rows with counts since the start.
    pub(super) fn counter<L: EncodeLabelSet>(
        &mut self,
        (name, unit): (&str, Option<Unit>),
        help: &str,
        rows: impl Iterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let kind = MetricType::Counter;
        self.family(
            name,
            unit.as_ref(),
            help,
            kind,
            rows,
            |mut metric, value| metric.encode_counter::<NoLabelSet, _, u64>(&value, None),
        )
    }

    /// Rows with seconds since the start, given in nanoseconds.
    pub(super) fn seconds<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl Iterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let (kind, unit) = (MetricType::Counter, Some(&Unit::Seconds));
        self.family(name, unit, help, kind, rows, |mut metric, nanos| {
            metric.encode_counter::<NoLabelSet, _, u64>(&(nanos as f64 / 1e9), None)
        })
    }

    /// Rows with present values.
    pub(super) fn gauge<L: EncodeLabelSet>(
        &mut self,
        (name, unit): (&str, Option<Unit>),
        help: &str,
        rows: impl Iterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let kind = MetricType::Gauge;
        self.family(
            name,
            unit.as_ref(),
            help,
            kind,
            rows,
            |mut metric, value| metric.encode_gauge(&value),
        )
    }

    /// Rows with histograms.
    pub(super) fn histogram<L: EncodeLabelSet>(
        &mut self,
        (name, scale): (&str, Scale),
        help: &str,
        rows: impl Iterator<Item = (L, Distribution)>,
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
        self.family(name, Some(&unit), help, kind, rows, |mut metric, of| {
            let counts = of.by_powers_of_four(first, last);
            let buckets: Vec<(f64, u64)> = bounds.iter().copied().zip(counts).collect();
            let sum = of.sum() as f64 / per_unit;
            metric.encode_histogram::<NoLabelSet>(sum, of.count(), &buckets, None)
        })
    }

    /// A row with labels alone.
    pub(super) fn info(
        &mut self,
        name: &str,
        help: &str,
        labels: &impl EncodeLabelSet,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Info)?;
        metric.encode_info(labels)
    }

    fn family<L: EncodeLabelSet, V>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        kind: MetricType,
        rows: impl Iterator<Item = (L, V)>,
        write: impl Fn(MetricEncoder<'_>, V) -> fmt::Result,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit, kind)?;
        for (labels, value) in rows {
            write(family.encode_family(&labels)?, value)?;
        }
        Ok(())
    }
}
