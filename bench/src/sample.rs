//! A document for the tests of what reads one.

use crate::assemble::{self, Invocation};
use crate::outcome::{Outcome, System, Target};
use crate::plan::tests::load;
use crate::plan::{Load, Plan};
use crate::run::Results;
use crate::schedule::{Arrival, Pace};
use crate::tally::{Answer, Tally};
use corelane::poller::BackEnd;
use corelane::runtime::LaneOptions;
use corelane::sys::Time;
use std::time::Duration;

/// An open loop of 1000 messages in a second, the n-th of which took n microseconds from its
/// intended time and half of it from when it was handed over.
pub(crate) fn outcome() -> Outcome {
    let mut tally = Tally::new();
    for n in 1..=1000 {
        tally.answer(Answer {
            counts: true,
            timed: true,
            intended: Some((Duration::from_micros(n), Duration::from_nanos(n))),
            service: Duration::from_micros(n / 2),
            now: Time::from_nanos(n),
        });
        tally.late(Duration::from_nanos(n));
        tally.sent(64, true);
        tally.received(64, true);
    }
    tally.opened(Time::ZERO, Time::from_nanos(1000));
    let results = Results {
        tally,
        back_ends: vec![BackEnd::Epoll],
        elapsed: Duration::from_secs(1),
        interrupted: false,
        costs: None,
        series: Vec::new(),
        usage: Vec::new(),
        system: System::default(),
    };
    let plan = Plan {
        verb: "run",
        target: Target {
            name: None,
            given: "localhost:7007".to_owned(),
            address: "127.0.0.1:7007".to_owned(),
            pid: None,
        },
        options: LaneOptions::new(BackEnd::Epoll),
        may_fall_back: false,
        lanes: 1,
        load: Load {
            pace: Some(Pace {
                rate: 1000.0,
                arrival: Arrival::Constant,
            }),
            ..load(1)
        },
        hold: None,
        warmup: Duration::ZERO,
        source: None,
        conditions: Vec::new(),
        objective: None,
        remarks: Vec::new(),
    };
    assemble::outcome(&Invocation::new(vec!["run".to_owned()]), &plan, &results)
}
