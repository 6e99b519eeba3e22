//! A bulk transfer on one connection: up, down, or both ways until the load ends. One task a
//! connection.

use std::pin::pin;
use std::rc::Rc;

use corelane::net::Stream;
use corelane::runtime::{Close, Either, both, either, yield_now};
use corelane::sys;

use super::connection::{CLOSE_MAX, Connection};
use super::lane_context::LaneContext;
use crate::args::Direction;
use crate::outcome::ConnectionError;

/// Transfers bytes until the stop signal and records any error.
pub(crate) async fn bulk(stream: Stream, number: u32, lane: Rc<LaneContext>, direction: Direction) {
    let bulk = Bulk {
        connection: Connection::new(&stream, number, &lane.load),
        shared: &lane,
        direction,
    };
    let result = bulk.run().await;
    let mut recorder = lane.recorder.borrow_mut();
    recorder.open -= 1;
    match result {
        // With unread bytes from a server that only sends, the kernel turns this close into a
        // reset.
        Ok(()) => stream.close(Close::Fin),
        Err(error) => recorder.error(error),
    }
}

struct Bulk<'a> {
    connection: Connection<'a>,
    shared: &'a LaneContext,
    direction: Direction,
}

impl Bulk<'_> {
    async fn run(&self) -> Result<(), ConnectionError> {
        self.connection.introduce(&self.shared.load).await?;
        self.shared.go.pass().await;
        match self.direction {
            Direction::Down => self.download().await,
            Direction::Up | Direction::Both => {
                let (receive, send) = (pin!(self.receive()), pin!(self.send()));
                let flow = both(receive, send);
                match either(pin!(flow), pin!(self.overdue())).await {
                    Either::First(result) => result,
                    Either::Second(error) => Err(error),
                }
            }
        }
    }

    /// Counts received bytes until the end of the load.
    async fn download(&self) -> Result<(), ConnectionError> {
        let flow = async {
            loop {
                let received = self.connection.stream.recv().await;
                let chain = received.map_err(|error| self.connection.broken(&error))?;
                if chain.is_empty() {
                    return Err(self.connection.closed_early());
                }
                self.count_received(chain.len() as u64);
                self.advance(chain.len() as u64);
            }
        };
        match either(pin!(flow), pin!(self.shared.stop.pass())).await {
            Either::First(result) => result,
            Either::Second(()) if self.connection.received.get() == 0 => {
                Err(ConnectionError::silent(self.connection.number))
            }
            Either::Second(()) => Ok(()),
        }
    }

    /// Verifies the echoed bytes, or discards them.
    async fn receive(&self) -> Result<(), ConnectionError> {
        loop {
            let received = self.connection.stream.recv().await;
            let chain = received.map_err(|error| self.connection.broken(&error))?;
            match (self.direction, chain.is_empty()) {
                (Direction::Both, true) => return self.connection.ended(),
                (_, true) if self.connection.fin_sent.get() => return Ok(()),
                (_, true) => return Err(self.connection.closed_early()),
                (Direction::Both, false) => self.connection.take(&chain)?,
                (_, false) => {}
            }
            self.count_received(chain.len() as u64);
        }
    }

    /// Sends until the end of the load, then sends the FIN.
    async fn send(&self) -> Result<(), ConnectionError> {
        while !self.shared.stop.is_open() {
            let bytes = self.connection.piece_max();
            let chain = self.connection.piece(bytes).await;
            if let Err(error) = self.connection.stream.send(chain).await {
                return Err(self.connection.failed_to_send(&error).await);
            }
            let measured = self.shared.window.get().contains(sys::now());
            self.shared.recorder.borrow_mut().sent(bytes, measured);
            // While the kernel accepts bytes at once, only a yield gives the receiving half a turn.
            yield_now().await;
        }
        match self.connection.shutdown() {
            Ok(()) => Ok(()),
            Err(error) => Err(self.connection.failed_to_send(&error).await),
        }
    }

    /// Ends with an error if the server's FIN is late.
    async fn overdue(&self) -> ConnectionError {
        self.shared.stop.pass().await;
        self.connection.sleep(CLOSE_MAX).await;
        let (number, received) = (self.connection.number, self.connection.received.get());
        match (self.connection.fin_sent.get(), self.direction) {
            (false, Direction::Up) => ConnectionError::not_read(number),
            (true, Direction::Up) => ConnectionError::not_closed(number, received, CLOSE_MAX),
            (true, _) if self.connection.is_all_answered() => {
                ConnectionError::not_closed(number, received, CLOSE_MAX)
            }
            _ => self.connection.unanswered(),
        }
    }

    fn count_received(&self, bytes: u64) {
        let measured = self.shared.window.get().contains(sys::now());
        self.shared.recorder.borrow_mut().received(bytes, measured);
    }

    /// Counts received bytes as correct: the client does not know the server's stream.
    fn advance(&self, bytes: u64) {
        let received = self.connection.received.get() + bytes;
        self.connection.received.set(received);
        self.connection.sent.set(received);
        self.connection.answered.set(received);
    }
}
