//! The metrics of lanes.

use std::fmt;

use prometheus_client::registry::Unit;

use super::families::{Families, LaneFacts};
use super::page::{Page, Scale};
use crate::stats::{Distribution, Histogram, LaneStats};

impl Families {
    pub(super) fn lanes(&self, page: &mut Page<'_>) -> fmt::Result {
        type Number = fn(&LaneFacts) -> u64;
        let gauges: [(&str, &str, Number); 4] = [
            ("corelane_lane_sessions", "Live sessions", |of| {
                of.stats.sessions()
            }),
            (
                "corelane_lane_run_queue",
                "Tasks that waited at the start of the last turn",
                |of| of.stats.run_queue.value(),
            ),
            (
                "corelane_lane_buffers",
                "Buffers in use at the end of the last turn",
                |of| of.stats.buffers.value(),
            ),
            (
                "corelane_lane_buffers_max",
                "The limit on buffers in use",
                |of| of.buffers_max as u64,
            ),
        ];
        for (name, help, number) in gauges {
            page.gauge((name, None), help, &self.lanes, |of| {
                [(of_lane(of), number(of))]
            })?;
        }
        self.lane_counters(page)
    }

    fn lane_counters(&self, page: &mut Page<'_>) -> fmt::Result {
        type Number = fn(&LaneFacts) -> u64;
        page.seconds(
            "corelane_lane_cpu",
            "CPU time of the lane",
            &self.lanes,
            |of| [(of_lane(of), of.cpu_ns)],
        )?;
        let counters: [(&str, Option<Unit>, &str, Number); 7] = [
            ("corelane_lane_turns", None, "Turns", |of| {
                of.stats.turns.value()
            }),
            ("corelane_lane_polls", None, "Runs of a task", |of| {
                of.stats.polls.value()
            }),
            (
                "corelane_lane_panics",
                None,
                "Tasks that a panic has ended, each a defect of corelane",
                |of| of.stats.panics.value(),
            ),
            (
                "corelane_lane_buffer_waits",
                None,
                "Requests for a buffer while all were in use",
                |of| of.stats.buffer_waits.value(),
            ),
            (
                "corelane_lane_received",
                Some(Unit::Bytes),
                "Bytes received from clients and endpoints",
                |of| of.stats.received_bytes.value(),
            ),
            (
                "corelane_lane_sent",
                Some(Unit::Bytes),
                "Bytes sent to clients and endpoints",
                |of| of.stats.sent_bytes.value(),
            ),
            (
                "corelane_lane_stalls",
                None,
                "Turns of 50 ms or longer",
                |of| of.stats.stalls.value(),
            ),
        ];
        for (name, unit, help, number) in counters {
            page.counter((name, unit), help, &self.lanes, |of| {
                [(of_lane(of), number(of))]
            })?;
        }
        Ok(())
    }

    pub(super) fn lane_times(&self, page: &mut Page<'_>) -> fmt::Result {
        type One = fn(&LaneStats) -> &Histogram;
        let histograms: [(&str, Scale, &str, One); 4] = [
            (
                "corelane_lane_turn",
                Scale::TURN,
                "Time from the start of a turn to its wait for the kernel, of one turn in 64",
                |of| &of.turn,
            ),
            (
                "corelane_lane_queue_delay",
                Scale::TURN,
                "Time that a task of such a turn waited to run",
                |of| &of.queue_delay,
            ),
            (
                "corelane_lane_stall",
                Scale::STALL,
                "Length of ended stalls",
                |of| &of.stall,
            ),
            (
                "corelane_lane_switch_pause",
                Scale::TURN,
                "Time that a reload held the lane",
                |of| &of.switch_pause,
            ),
        ];
        for (name, scale, help, one) in histograms {
            let row = |of| {
                let of: &LaneFacts = of;
                let histogram = one(&of.stats);
                (of_lane(of), Distribution::of([histogram].into_iter()))
            };
            page.histogram((name, scale), help, &self.lanes, row)?;
        }
        Ok(())
    }
}

fn of_lane(of: &LaneFacts) -> [(&'static str, usize); 1] {
    [("lane", of.index)]
}
