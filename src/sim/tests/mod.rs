//! What is asked of the simulator itself.

use super::plan::Cut;
use super::world::run;

#[test]
fn the_same_seed_takes_the_same_course() {
    let _records = super::records::collect();
    for seed in 0..20 {
        let (first, second) = (
            run(seed, &Cut::default(), false),
            run(seed, &Cut::default(), true),
        );
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
}
