//! The opening of a connection: the steps between accept and relay.
//!
//! One task per connection walks the steps, in the order of the list in `walk`. A step is a file
//! with two functions: `is_on` returns whether a listener needs the step, `run` carries it out and
//! may end the session. Without any step the relay starts at once, and there is no task for the
//! opening. The relay is a separate task, so the memory of the opening is free before the session
//! idles.

mod choose;
mod connection;
mod control;
mod dial;
mod walk;

pub(super) use self::walk::start;
