//! Tests that need a whole document.

use super::comparison::{Duel, Metric};
use super::document::{Outcome, SCHEMA};
use super::sample;
use crate::stats::Interval;

/// In schema 1 the ratios of a duel are B divided by A.
#[test]
fn the_ratios_of_a_schema_1_duel_are_inverted() {
    let mut outcome = sample::outcome();
    let target = outcome.target.clone();
    outcome.schema = 1;
    outcome.duel = Some(Duel {
        targets: [target.clone(), target],
        slice_ns: 1,
        rounds: Vec::new(),
        metrics: vec![Metric {
            name: "rate".to_owned(),
            ratios: vec![2.0, 4.0],
            ratio: Some(Interval {
                median: 4.0,
                low: 2.0,
                high: 8.0,
            }),
            more_is_better: true,
            better: None,
            words: None,
        }],
        sides: None,
    });
    let ratios = |outcome: &Outcome| {
        let text = outcome.json();
        // An absent key is read as `None`.
        let text = text.replace("\"sides\": null", "\"other\": null");
        let duel = Outcome::parse(&text).unwrap().duel.unwrap();
        let metric = &duel.metrics[0];
        let interval = metric.ratio.unwrap();
        (
            metric.ratios.clone(),
            interval.low,
            interval.median,
            interval.high,
        )
    };
    assert_eq!(ratios(&outcome), (vec![0.5, 0.25], 0.125, 0.25, 0.5));
    outcome.schema = SCHEMA;
    assert_eq!(ratios(&outcome), (vec![2.0, 4.0], 2.0, 4.0, 8.0));
}
