//! What one lane counts, and how the lanes' counts become one. One writer each: nothing is shared
//! while the load runs.

use std::time::Duration;

use corelane::sys::Time;
use hdrhistogram::Histogram;

use crate::outcome::{self, ConnectionError, ErrorKind, histogram};

/// ErrorCounts that are kept in full; the others are only counted.
const DETAILS: usize = 10;

fn record(times: &mut Histogram<u64>, time: Duration) {
    // One beyond the bound counts as the bound.
    times.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
}

/// A message that came back whole, as far as it is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// Whether it is one of the measured messages.
    pub(crate) counts: bool,
    /// Whether its times are measured.
    pub(crate) timed: bool,
    /// From its intended time, and what of that is this client's lateness; open loop only.
    pub(crate) intended: Option<(Duration, Duration)>,
    /// From when it was handed over.
    pub(crate) service: Duration,
    /// When its last byte was there.
    pub(crate) now: Time,
}

/// A lane's counts. Its size does not depend on how long the load runs.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// From the intended moment of a message until its last byte is back.
    pub(crate) intended: Histogram<u64>,
    /// The same without what this client was late: what it would be had each left on time.
    pub(crate) on_time: Histogram<u64>,
    /// From before a message is handed over until its last byte is back.
    pub(crate) service: Histogram<u64>,
    /// From the start of a connect to its end.
    pub(crate) connect: Histogram<u64>,
    /// How much later each message was handed over than by a client that is never late.
    pub(crate) lateness: Histogram<u64>,
    /// Messages that came back whole, within the measured time.
    pub(crate) messages: u64,
    /// Messages due within the measured time, and those of them that were never sent.
    pub(crate) due: u64,
    pub(crate) unsent: u64,
    /// Bytes within the measured time.
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    /// Connections that were opened, that could not be, and that are open.
    pub(crate) opened: u64,
    pub(crate) failed: u64,
    pub(crate) open: u32,
    /// When the first connect began and the last ended.
    pub(crate) connecting: Option<(Time, Time)>,
    /// When the last of the measured messages came back.
    pub(crate) last: Time,
    /// The first answer to a message that was given, as it is shown.
    pub(crate) first_reply: Option<String>,
    pub(crate) faults: ErrorCounts,
    /// What was counted since the interval was last taken.
    pub(crate) interval: Interval,
}

/// Counts between two looks, measured time or not.
#[derive(Debug)]
pub(crate) struct Interval {
    /// From the intended time in an open loop, else service time.
    pub(crate) latency: Histogram<u64>,
    pub(crate) messages: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    pub(crate) faults: u64,
    /// Those of the messages that are measured.
    pub(crate) measured: u64,
    /// Connections open at its end.
    pub(crate) open: u32,
}

impl Interval {
    pub(crate) fn new() -> Self {
        Self {
            latency: histogram(),
            messages: 0,
            sent_bytes: 0,
            received_bytes: 0,
            faults: 0,
            measured: 0,
            open: 0,
        }
    }

    /// Adds another lane's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.latency
            .add(&other.latency)
            .expect("all have the same bounds");
        self.messages += other.messages;
        self.sent_bytes += other.sent_bytes;
        self.received_bytes += other.received_bytes;
        self.faults += other.faults;
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
            faults: ErrorCounts::default(),
            interval: Interval::new(),
        }
    }

    /// Counts a message; no allocation.
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

    /// Counts how late a message that was due in the measured time was sent.
    pub(crate) fn late(&mut self, lateness: Duration) {
        self.due += 1;
        record(&mut self.lateness, lateness);
    }

    /// Counts bytes that were handed over.
    pub(crate) fn sent(&mut self, bytes: u64, measured: bool) {
        self.interval.sent_bytes += bytes;
        if measured {
            self.sent_bytes += bytes;
        }
    }

    /// Counts bytes that came back.
    pub(crate) fn received(&mut self, bytes: u64, measured: bool) {
        self.interval.received_bytes += bytes;
        if measured {
            self.received_bytes += bytes;
        }
    }

    /// Counts a connection that was opened.
    pub(crate) fn opened(&mut self, began: Time, now: Time) {
        record(&mut self.connect, now.since(began));
        self.opened += 1;
        self.open += 1;
        self.connected(began, now);
    }

    /// Counts one that was not.
    pub(crate) fn not_opened(&mut self, began: Time, now: Time, fault: ConnectionError) {
        self.failed += 1;
        self.connected(began, now);
        self.fault(fault);
    }

    /// Counts a fault.
    pub(crate) fn fault(&mut self, fault: ConnectionError) {
        self.interval.faults += 1;
        self.faults.push(fault);
    }

    /// Takes what was counted since the last time.
    pub(crate) fn take_interval(&mut self) -> Interval {
        let taken = std::mem::replace(&mut self.interval, Interval::new());
        Interval {
            open: self.open,
            ..taken
        }
    }

    /// Adds another lane's or another part's counts.
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
        self.faults.extend(other.faults);
    }

    fn connected(&mut self, began: Time, ended: Time) {
        let (first, last) = self.connecting.unwrap_or((began, ended));
        self.connecting = Some((first.min(began), last.max(ended)));
    }
}

/// ErrorCounts by kind, the first few in full.
#[derive(Clone, Debug, Default)]
pub(crate) struct ErrorCounts {
    counts: [u64; ErrorKind::ALL.len()],
    first: Vec<ConnectionError>,
}

impl ErrorCounts {
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// As they are told.
    pub(crate) fn told(&self) -> outcome::Errors {
        let counts = ErrorKind::ALL.into_iter().zip(self.counts);
        outcome::Errors {
            total: self.total(),
            kinds: counts.filter(|(_, count)| *count > 0).collect(),
            first: self.first.clone(),
        }
    }

    fn push(&mut self, fault: ConnectionError) {
        self.counts[fault.kind as usize] += 1;
        if self.first.len() < DETAILS {
            self.first.push(fault);
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

    fn tally(latencies_us: impl IntoIterator<Item = u64>, faults: u32) -> Recorder {
        let mut tally = Recorder::new();
        for latency in latencies_us {
            tally.answer(Answer {
                counts: true,
                timed: true,
                intended: Some((Duration::from_micros(2 * latency), Duration::ZERO)),
                service: Duration::from_micros(latency),
                now: Time::from_nanos(tally.messages + 1),
            });
        }
        for connection in 0..faults {
            tally.fault(ConnectionError::closed_early(connection, 0, "1 byte"));
        }
        tally
    }

    #[test]
    fn lanes_add_up() {
        let mut all = tally(1..=500, 7);
        all.opened(Time::from_nanos(50), Time::from_nanos(90));
        let mut other = tally(501..=1000, 8);
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
        let errors = all.faults.told();
        assert_eq!((errors.total, errors.first.len()), (15, DETAILS));
        assert_eq!(
            errors.kinds.into_iter().collect::<Vec<_>>(),
            [(ErrorKind::ClosedEarly, 15)]
        );
    }

    #[test]
    fn an_interval_begins_anew_and_the_whole_goes_on() {
        let mut tally = tally([10, 20], 1);
        let first = tally.take_interval();
        assert_eq!((first.messages, first.faults, first.measured), (2, 1, 2));
        assert_eq!(first.latency.max() / 1000, 40, "from the intended time");
        let second = tally.take_interval();
        assert_eq!((second.messages, second.faults, second.measured), (0, 0, 0));
        assert_eq!(tally.faults.total(), 1);
    }

    #[test]
    fn a_latency_beyond_the_bound_counts_as_the_bound() {
        let tally = tally([100_000_000_000], 0);
        assert_eq!(tally.service.len(), 1);
        assert!(tally.service.max() >= 3_600_000_000_000);
    }
}
