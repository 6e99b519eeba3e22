//! The counts and histograms of one lane, and their sum over the lanes. Each lane writes its own;
//! nothing is shared while the load runs.

use std::time::Duration;

use corelane::sys::Time;
use hdrhistogram::Histogram;

use crate::outcome::{self, ConnectionError, ErrorKind, histogram};

/// Errors kept in full. Further errors are only counted.
const DETAILS: usize = 10;

fn record(times: &mut Histogram<u64>, time: Duration) {
    // A time above the bound counts as the bound.
    times.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
}

/// A message with a complete reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// Whether the message counts as measured.
    pub(crate) counts: bool,
    /// Whether the message's times are measured.
    pub(crate) timed: bool,
    /// Latency from the due time, and the part that is this client's lateness; open loop only.
    pub(crate) intended: Option<(Duration, Duration)>,
    /// Latency from the send.
    pub(crate) service: Duration,
    /// When the last byte arrived.
    pub(crate) now: Time,
}

/// The counts of a lane. The size does not grow with the length of the load.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// From the due time of a message to the last byte of the reply.
    pub(crate) intended: Histogram<u64>,
    /// The same without this client's lateness.
    pub(crate) on_time: Histogram<u64>,
    /// From the send of a message to the last byte of the reply.
    pub(crate) service: Histogram<u64>,
    /// From the start to the end of a connect.
    pub(crate) connect: Histogram<u64>,
    /// The send lateness of each message.
    pub(crate) lateness: Histogram<u64>,
    /// Messages with a complete reply in the measured time.
    pub(crate) messages: u64,
    /// Messages due in the measured time, and the unsent ones among them.
    pub(crate) due: u64,
    pub(crate) unsent: u64,
    /// Bytes in the measured time.
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    /// Connections opened so far, failed connects, and open connections.
    pub(crate) opened: u64,
    pub(crate) failed: u64,
    pub(crate) open: u32,
    /// The start of the first connect and the end of the last.
    pub(crate) connecting: Option<(Time, Time)>,
    /// When the last measured reply arrived.
    pub(crate) last: Time,
    /// The first reply to a scripted request, as text.
    pub(crate) first_reply: Option<String>,
    pub(crate) errors: ErrorCounts,
    /// Counts since the last `take_interval`.
    pub(crate) interval: Interval,
}

/// Counts of one interval, inside or outside the measured time.
#[derive(Debug)]
pub(crate) struct Interval {
    /// Latency from the due time in an open loop, service time in a closed loop.
    pub(crate) latency: Histogram<u64>,
    pub(crate) messages: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    pub(crate) errors: u64,
    /// The measured messages.
    pub(crate) measured: u64,
    /// Open connections at the end of the interval.
    pub(crate) open: u32,
}

impl Interval {
    pub(crate) fn new() -> Self {
        Self {
            latency: histogram(),
            messages: 0,
            sent_bytes: 0,
            received_bytes: 0,
            errors: 0,
            measured: 0,
            open: 0,
        }
    }

    /// Adds the counts of a further lane.
    pub(crate) fn add(&mut self, other: &Self) {
        self.latency
            .add(&other.latency)
            .expect("all have the same bounds");
        self.messages += other.messages;
        self.sent_bytes += other.sent_bytes;
        self.received_bytes += other.received_bytes;
        self.errors += other.errors;
        self.measured += other.measured;
        self.open += other.open;
    }
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            intended: histogram(),
            on_time: histogram(),
            service: histogram(),
            connect: histogram(),
            lateness: histogram(),
            messages: 0,
            due: 0,
            unsent: 0,
            sent_bytes: 0,
            received_bytes: 0,
            opened: 0,
            failed: 0,
            open: 0,
            connecting: None,
            last: Time::ZERO,
            first_reply: None,
            errors: ErrorCounts::default(),
            interval: Interval::new(),
        }
    }

    /// Counts a message, without an allocation.
    pub(crate) fn answer(&mut self, answer: Answer) {
        let intended = answer.intended.map(|(intended, _)| intended);
        let first = intended.unwrap_or(answer.service);
        record(&mut self.interval.latency, first);
        self.interval.messages += 1;
        if answer.counts {
            self.messages += 1;
            self.interval.measured += 1;
            self.last = answer.now;
        }
        if answer.timed {
            record(&mut self.service, answer.service);
            if let Some((intended, late)) = answer.intended {
                record(&mut self.intended, intended);
                record(&mut self.on_time, intended.saturating_sub(late));
            }
        }
    }

    /// Counts a message due in the measured time, with its send lateness.
    pub(crate) fn late(&mut self, lateness: Duration) {
        self.due += 1;
        record(&mut self.lateness, lateness);
    }

    /// Counts sent bytes.
    pub(crate) fn sent(&mut self, bytes: u64, measured: bool) {
        self.interval.sent_bytes += bytes;
        if measured {
            self.sent_bytes += bytes;
        }
    }

    /// Counts received bytes.
    pub(crate) fn received(&mut self, bytes: u64, measured: bool) {
        self.interval.received_bytes += bytes;
        if measured {
            self.received_bytes += bytes;
        }
    }

    /// Counts an opened connection.
    pub(crate) fn opened(&mut self, began: Time, now: Time) {
        record(&mut self.connect, now.since(began));
        self.opened += 1;
        self.open += 1;
        self.connected(began, now);
    }

    /// Counts a failed connect.
    pub(crate) fn not_opened(&mut self, began: Time, now: Time, error: ConnectionError) {
        self.failed += 1;
        self.connected(began, now);
        self.error(error);
    }

    /// Counts an error.
    pub(crate) fn error(&mut self, error: ConnectionError) {
        self.interval.errors += 1;
        self.errors.push(error);
    }

    /// Returns the counts since the last call.
    pub(crate) fn take_interval(&mut self) -> Interval {
        let taken = std::mem::replace(&mut self.interval, Interval::new());
        Interval {
            open: self.open,
            ..taken
        }
    }

    /// Adds the counts of a further lane or slice.
    pub(crate) fn add(&mut self, other: Self) {
        for (mine, others) in [
            (&mut self.intended, &other.intended),
            (&mut self.on_time, &other.on_time),
            (&mut self.service, &other.service),
            (&mut self.connect, &other.connect),
            (&mut self.lateness, &other.lateness),
        ] {
            mine.add(others).expect("all have the same bounds");
        }
        self.messages += other.messages;
        self.due += other.due;
        self.unsent += other.unsent;
        self.sent_bytes += other.sent_bytes;
        self.received_bytes += other.received_bytes;
        self.opened += other.opened;
        self.failed += other.failed;
        self.open += other.open;
        if let Some((began, ended)) = other.connecting {
            self.connected(began, ended);
        }
        self.last = self.last.max(other.last);
        self.first_reply = self.first_reply.take().or(other.first_reply);
        self.errors.extend(other.errors);
    }

    fn connected(&mut self, began: Time, ended: Time) {
        let (first, last) = self.connecting.unwrap_or((began, ended));
        self.connecting = Some((first.min(began), last.max(ended)));
    }
}

/// Error counts by kind, and the first errors in full.
#[derive(Clone, Debug, Default)]
pub(crate) struct ErrorCounts {
    counts: [u64; ErrorKind::ALL.len()],
    first: Vec<ConnectionError>,
}

impl ErrorCounts {
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The errors as in the document.
    pub(crate) fn summary(&self) -> outcome::Errors {
        let counts = ErrorKind::ALL.into_iter().zip(self.counts);
        outcome::Errors {
            total: self.total(),
            kinds: counts.filter(|(_, count)| *count > 0).collect(),
            first: self.first.clone(),
        }
    }

    fn push(&mut self, error: ConnectionError) {
        self.counts[error.kind as usize] += 1;
        if self.first.len() < DETAILS {
            self.first.push(error);
        }
    }

    pub(crate) fn extend(&mut self, other: Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        let room = DETAILS - self.first.len();
        self.first.extend(other.first.into_iter().take(room));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use corelane::sys::Time;

    use super::{Answer, DETAILS, Recorder};
    use crate::outcome::{ConnectionError, ErrorKind};

    fn recorder(latencies_us: impl IntoIterator<Item = u64>, errors: u32) -> Recorder {
        let mut recorder = Recorder::new();
        for latency in latencies_us {
            recorder.answer(Answer {
                counts: true,
                timed: true,
                intended: Some((Duration::from_micros(2 * latency), Duration::ZERO)),
                service: Duration::from_micros(latency),
                now: Time::from_nanos(recorder.messages + 1),
            });
        }
        for connection in 0..errors {
            recorder.error(ConnectionError::closed_early(connection, 0, "1 byte"));
        }
        recorder
    }

    #[test]
    fn lanes_add_up() {
        let mut all = recorder(1..=500, 7);
        all.opened(Time::from_nanos(50), Time::from_nanos(90));
        let mut other = recorder(501..=1000, 8);
        other.opened(Time::from_nanos(20), Time::from_nanos(60));
        all.add(other);
        assert_eq!(
            (all.messages, all.service.len(), all.intended.len()),
            (1000, 1000, 1000)
        );
        assert_eq!(all.last, Time::from_nanos(500));
        let median = all.service.value_at_quantile(0.5);
        assert!((500_000..501_000).contains(&median), "{median}");
        let median = all.intended.value_at_quantile(0.5);
        assert!((1_000_000..1_002_000).contains(&median), "{median}");
        assert!((1_000_000..1_001_000).contains(&all.service.max()));
        assert_eq!(
            all.connecting,
            Some((Time::from_nanos(20), Time::from_nanos(90)))
        );
        assert_eq!((all.opened, all.open), (2, 2));
        let errors = all.errors.summary();
        assert_eq!((errors.total, errors.first.len()), (15, DETAILS));
        assert_eq!(
            errors.kinds.into_iter().collect::<Vec<_>>(),
            [(ErrorKind::ClosedEarly, 15)]
        );
    }

    #[test]
    fn intervals_start_at_zero_and_totals_continue() {
        let mut recorder = recorder([10, 20], 1);
        let first = recorder.take_interval();
        assert_eq!((first.messages, first.errors, first.measured), (2, 1, 2));
        assert_eq!(first.latency.max() / 1000, 40, "from the due time");
        let second = recorder.take_interval();
        assert_eq!((second.messages, second.errors, second.measured), (0, 0, 0));
        assert_eq!(recorder.errors.total(), 1);
    }

    #[test]
    fn a_latency_beyond_the_bound_counts_as_the_bound() {
        let recorder = recorder([100_000_000_000], 0);
        assert_eq!(recorder.service.len(), 1);
        assert!(recorder.service.max() >= 3_600_000_000_000);
    }
}
