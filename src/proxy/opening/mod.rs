//! The opening: what a new connection goes through between its accept and its relay.
//!
//! One task per connection walks the steps, which `walk` lists. A step is a file with two
//! functions: `is_on` says whether a listener needs the step, `run` carries it out and may end the
//! session. A connection whose listener needs no step starts its relay at once, without a task for
//! the opening. The relay is a task of its own, so all that the opening holds is free before the
//! session idles.

mod choose;
mod connection;
mod control;
mod dial;
mod walk;

pub(super) use self::walk::start;
