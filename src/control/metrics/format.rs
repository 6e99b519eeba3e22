//! The format of a page, by the Accept header (RFC 9110, 12.5.1).

/// The formats of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum Format {
    /// The text format of Prometheus, version 0.0.4.
    Prometheus,
    /// OpenMetrics, version 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The format that a client prefers; the text format without a preference.
    pub(in crate::control) fn of(accept: Option<&str>) -> Self {
        let (mut open_metrics, mut other) = (0.0, 0.0);
        for range in accept.into_iter().flat_map(|accept| accept.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
            let best: &mut f32 = match media {
                "application/openmetrics-text" => &mut open_metrics,
                _ => &mut other,
            };
            *best = best.max(weight.unwrap_or(1.0));
        }
        match open_metrics > 0.0 && open_metrics >= other {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// The Content-Type of a page.
    pub(in crate::control) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn the_format_is_the_preferred_one() {
        for (accept, format) in [
            (None, Format::Prometheus),
            (Some("*/*"), Format::Prometheus),
            (Some("text/plain"), Format::Prometheus),
            (Some("application/openmetrics-text"), Format::OpenMetrics),
            // Prometheus 2.42
            (
                Some(
                    "application/openmetrics-text;version=1.0.0,\
                     application/openmetrics-text;version=0.0.1;q=0.75,\
                     text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                ),
                Format::OpenMetrics,
            ),
            (
                Some("text/plain, application/openmetrics-text; q=0.5"),
                Format::Prometheus,
            ),
            (Some("application/openmetrics-text;q=0"), Format::Prometheus),
            (Some(";;q=x,"), Format::Prometheus),
        ] {
            assert_eq!(Format::of(accept), format, "{accept:?}");
        }
    }
}
