//! The counters of listeners and endpoints, compared with the records.

use super::generation::Counted;
use super::records::Record;
use super::violation::Violation;
use super::world::World;

/// I8: the counters are the sums of the records.
pub(super) fn every_counter(world: &World, records: &[Record]) -> Result<(), Violation> {
    let (mut counted, mut recorded) = ([Counted::default(); 2], [Counted::default(); 2]);
    for generation in &world.generations {
        for (sum, of) in counted.iter_mut().zip(generation.counted()) {
            sum.add(of.sessions, of.from_client, of.to_client);
        }
    }
    for record in records {
        recorded[0].add(1, record.from_client, record.to_client);
        if record.endpoint.is_some() {
            recorded[1].add(1, record.from_client, record.to_client);
        }
    }
    match counted == recorded {
        true => Ok(()),
        false => {
            let what = format!("counters {counted:?} of records {recorded:?}");
            Err(Violation::new("I8", what))
        }
    }
}
