//! One connection whose bytes have no end but the load's: up, down, or both; one task each.

use std::pin::pin;
use std::rc::Rc;

use corelane::net::Stream;
use corelane::runtime::{Close, Either, both, either, yield_now};
use corelane::sys;

use crate::args::Direction;
use crate::fault::Fault;
use crate::lane::Shared;
use crate::wire::{CLOSE_MAX, Wire};

/// Moves bytes until told to stop, and says what went wrong.
pub(crate) async fn bulk(stream: Stream, number: u32, lane: Rc<Shared>, direction: Direction) {
    let bulk = Bulk {
        wire: Wire::new(&stream, number, &lane.load),
        shared: &lane,
        direction,
    };
    let result = bulk.run().await;
    let mut tally = lane.tally.borrow_mut();
    tally.open -= 1;
    match result {
        // What a server that only sends still has under way makes a reset of it.
        Ok(()) => stream.close(Close::Fin),
        Err(fault) => tally.fault(fault),
    }
}

struct Bulk<'a> {
    wire: Wire<'a>,
    shared: &'a Shared,
    direction: Direction,
}

impl Bulk<'_> {
    async fn run(&self) -> Result<(), Fault> {
        self.wire.introduce(&self.shared.load).await?;
        self.shared.go.pass().await;
        match self.direction {
            Direction::Down => self.download().await,
            Direction::Up | Direction::Both => {
                let (receive, send) = (pin!(self.receive()), pin!(self.send()));
                let flow = both(receive, send);
                match either(pin!(flow), pin!(self.overdue())).await {
                    Either::First(result) => result,
                    Either::Second(fault) => Err(fault),
                }
            }
        }
    }

    /// Counts what comes until the end of the load.
    async fn download(&self) -> Result<(), Fault> {
        let flow = async {
            loop {
                let received = self.wire.stream.recv().await;
                let chain = received.map_err(|error| self.wire.broken(&error))?;
                if chain.is_empty() {
                    return Err(self.wire.closed_early());
                }
                self.count_received(chain.len() as u64);
                self.advance(chain.len() as u64);
            }
        };
        match either(pin!(flow), pin!(self.shared.stop.pass())).await {
            Either::First(result) => result,
            Either::Second(()) if self.wire.received.get() == 0 => {
                Err(Fault::silent(self.wire.number))
            }
            Either::Second(()) => Ok(()),
        }
    }

    /// What comes back is what was sent, or thrown away.
    async fn receive(&self) -> Result<(), Fault> {
        loop {
            let received = self.wire.stream.recv().await;
            let chain = received.map_err(|error| self.wire.broken(&error))?;
            match (self.direction, chain.is_empty()) {
                (Direction::Both, true) => return self.wire.ended(),
                (_, true) if self.wire.fin_sent.get() => return Ok(()),
                (_, true) => return Err(self.wire.closed_early()),
                (Direction::Both, false) => self.wire.take(&chain)?,
                (_, false) => {}
            }
            self.count_received(chain.len() as u64);
        }
    }

    /// Sends until the end of the load, then the FIN.
    async fn send(&self) -> Result<(), Fault> {
        while !self.shared.stop.is_open() {
            let bytes = self.wire.piece_max();
            let chain = self.wire.piece(bytes).await;
            if let Err(error) = self.wire.stream.send(chain).await {
                return Err(self.wire.failed_to_send(&error).await);
            }
            let measured = self.shared.window.get().contains(sys::now());
            self.shared.tally.borrow_mut().sent(bytes, measured);
            // As long as the kernel takes it, nothing else would have its turn.
            yield_now().await;
        }
        match self.wire.shutdown() {
            Ok(()) => Ok(()),
            Err(error) => Err(self.wire.failed_to_send(&error).await),
        }
    }

    /// Ends with a fault when the end does not come.
    async fn overdue(&self) -> Fault {
        self.shared.stop.pass().await;
        self.wire.sleep(CLOSE_MAX).await;
        let (number, received) = (self.wire.number, self.wire.received.get());
        match (self.wire.fin_sent.get(), self.direction) {
            (false, Direction::Up) => Fault::not_taken(number),
            (true, Direction::Up) => Fault::not_closed(number, received, CLOSE_MAX),
            (true, _) if self.wire.is_all_answered() => {
                Fault::not_closed(number, received, CLOSE_MAX)
            }
            _ => self.wire.unanswered(),
        }
    }

    fn count_received(&self, bytes: u64) {
        let measured = self.shared.window.get().contains(sys::now());
        self.shared.tally.borrow_mut().received(bytes, measured);
    }

    /// In a stream that is not ours all bytes are right.
    fn advance(&self, bytes: u64) {
        let received = self.wire.received.get() + bytes;
        self.wire.received.set(received);
        self.wire.sent.set(received);
        self.wire.answered.set(received);
    }
}
