//! Churn: connect, exchange one message, close, repeat. One task for each concurrent connection.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use corelane::net::{self, Stream};
use corelane::runtime::{Close, Either, Handle, both, either, yield_now};
use corelane::sys::{self, Time};

use super::connection::{CLOSE_MAX, Connection, SILENCE_MAX};
use super::lane_context::{CONNECT_MAX, LaneContext};
use super::recorder::Answer;
use super::schedule::{Schedule, late};
use super::work::Length;
use crate::args::CloseChoice;
use crate::outcome::ConnectionError;
use crate::stats::mix;

/// The pause after a failed connect, so that a refusing target is not flooded.
const PAUSE: Duration = Duration::from_millis(10);

/// Opens one connection after another until the stop signal or the last connection.
pub(crate) async fn churn(
    handle: Handle,
    worker: u32,
    numbers: Rc<Cell<u32>>,
    shared: Rc<LaneContext>,
    close: CloseChoice,
) {
    shared.go.pass().await;
    let cut = Rc::new(Cell::new(false));
    let mut worker = Worker {
        handle: handle.clone(),
        worker,
        numbers,
        seed: mix(shared.load.seed ^ mix(worker.into())),
        slot: shared.pacer.slot(),
        schedule: None,
        measured: 0,
        close,
        cut: Rc::clone(&cut),
        shared: &shared,
    };
    either(pin!(worker.run()), pin!(watch(&shared, &handle, &cut))).await;
}

/// Limits the wait after the stop signal. One future a worker rather than a connection: a latch
/// keeps every waiter that has ever waited.
async fn watch(shared: &LaneContext, handle: &Handle, cut: &Cell<bool>) {
    shared.stop.pass().await;
    handle.sleep_until(handle.now() + CLOSE_MAX).await;
    cut.set(true);
    // Polls the other half of the task again.
    yield_now().await;
    pending().await
}

struct Worker<'a> {
    handle: Handle,
    worker: u32,
    /// The number of the next connection, shared by all workers of the lane.
    numbers: Rc<Cell<u32>>,
    seed: u64,
    slot: u32,
    schedule: Option<Schedule>,
    /// Measured connections so far.
    measured: u64,
    close: CloseChoice,
    /// The wait for the last replies is over.
    cut: Rc<Cell<bool>>,
    shared: &'a LaneContext,
}

impl Worker<'_> {
    async fn run(&mut self) {
        let load = &self.shared.load;
        let start = self.shared.started.get();
        self.schedule = load
            .pace
            .map(|pace| Schedule::new(pace, self.worker, load.connections, start, self.seed));
        let (mut free, mut before) = (Time::ZERO, Duration::ZERO);
        while let Some(intended) = self.next().await {
            let number = self.numbers.get();
            self.numbers.set(number.wrapping_add(load.connections));
            let began = sys::now();
            let window = self.shared.window.get();
            let measured = match load.length {
                Length::For(_) => window.contains(intended.unwrap_or(began)),
                Length::Count(_) => began >= window.start,
            };
            self.measured += u64::from(measured);
            let intended = intended.map(|intended| {
                before = late(began, intended, free, before);
                (intended, before)
            });
            if let Some((_, late)) = intended.filter(|_| measured) {
                self.shared.recorder.borrow_mut().late(late);
            }
            match self.one(number, began).await {
                Ok(answered) => self.count(intended, began, answered, measured),
                Err(error) => {
                    self.shared.recorder.borrow_mut().error(error);
                    self.handle.sleep_until(self.handle.now() + PAUSE).await;
                }
            }
            free = sys::now();
        }
        self.count_unsent();
    }

    /// Waits until the next connection is due and returns the due time; `None` after the last one.
    async fn next(&mut self) -> Option<Option<Time>> {
        let load = &self.shared.load;
        let all_begun = match load.length {
            Length::For(_) => false,
            Length::Count(count) => self.measured >= load.share(count, self.worker),
        };
        if all_begun {
            return None;
        }
        // The stop signal wakes the task.
        poll_fn(|context| {
            if self.shared.stop.is_open() {
                return Poll::Ready(None);
            }
            let now = sys::now();
            match &mut self.schedule {
                None => Poll::Ready(Some(None)),
                Some(schedule) if schedule.next() <= now => {
                    Poll::Ready(Some(Some(schedule.advance())))
                }
                Some(schedule) => {
                    let next = schedule.next();
                    self.shared.pacer.wake_at(self.slot, next, context.waker());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// The life of one connection. Returns the time of the complete reply.
    async fn one(&self, number: u32, began: Time) -> Result<Time, ConnectionError> {
        let stream = self.connect(number, began).await?;
        let connection = Connection::new(&stream, number, &self.shared.load);
        let result = match either(
            pin!(self.exchange(&connection)),
            pin!(self.overdue(&connection)),
        )
        .await
        {
            Either::First(result) => result,
            Either::Second(error) => Err(error),
        };
        self.shared.recorder.borrow_mut().open -= 1;
        // In the other cases the drop of the stream resets the connection.
        if result.is_ok() && self.close == CloseChoice::Fin {
            stream.close(Close::Fin);
        }
        result
    }

    async fn connect(&self, number: u32, began: Time) -> Result<Stream, ConnectionError> {
        let shared = self.shared;
        let source = shared.load.source_of(number);
        let deadline = self.handle.sleep_until(self.handle.now() + CONNECT_MAX);
        let connect = net::connect(&self.handle, shared.load.address, source, &shared.options);
        let (deadline, cut) = (pin!(deadline), pin!(self.is_cut()));
        let result = match either(pin!(connect), pin!(either(deadline, cut))).await {
            Either::First(result) => {
                result.map_err(|error| ConnectionError::connecting(number, &error))
            }
            Either::Second(_) => Err(ConnectionError::connect_timed_out(number, CONNECT_MAX)),
        };
        let (mut recorder, now) = (shared.recorder.borrow_mut(), sys::now());
        match &result {
            Ok(_) => recorder.opened(began, now),
            Err(_) => recorder.failed += 1,
        }
        result
    }

    async fn exchange(&self, connection: &Connection<'_>) -> Result<Time, ConnectionError> {
        let load = &self.shared.load;
        connection.introduce(load).await?;
        let size = load.sizes.of(self.seed, connection.number.into());
        let answered = Cell::new(Time::ZERO);
        let receive = self.receive(connection, size, &answered);
        both(pin!(receive), pin!(self.send(connection, size))).await?;
        if self.close == CloseChoice::Fin {
            self.say_goodbye(connection).await?;
        }
        Ok(answered.get())
    }

    async fn send(&self, connection: &Connection<'_>, size: u64) -> Result<(), ConnectionError> {
        while connection.sent.get() < size {
            let bytes = connection.piece_max().min(size - connection.sent.get());
            let chain = connection.piece(bytes).await;
            self.count_sent(bytes);
            if let Err(error) = connection.stream.send(chain).await {
                return Err(connection.failed_to_send(&error).await);
            }
        }
        Ok(())
    }

    async fn receive(
        &self,
        connection: &Connection<'_>,
        size: u64,
        answered: &Cell<Time>,
    ) -> Result<(), ConnectionError> {
        while connection.answered.get() < size {
            let received = connection.stream.recv().await;
            let chain = received.map_err(|error| connection.broken(&error))?;
            if chain.is_empty() {
                return Err(connection.closed_early());
            }
            let now = sys::now();
            connection.take(&chain)?;
            let measured = self.shared.window.get().contains(now);
            let mut recorder = self.shared.recorder.borrow_mut();
            recorder.received(chain.len() as u64, measured);
            if recorder.first_reply.is_none() {
                recorder.first_reply = connection.first_reply();
            }
            answered.set(now);
        }
        Ok(())
    }

    /// Sends our FIN and waits for the server's FIN.
    async fn say_goodbye(&self, connection: &Connection<'_>) -> Result<(), ConnectionError> {
        connection
            .shutdown()
            .map_err(|error| connection.broken(&error))?;
        let last = match either(
            pin!(connection.stream.recv()),
            pin!(connection.not_closed()),
        )
        .await
        {
            Either::First(last) => last.map_err(|error| connection.broken(&error))?,
            Either::Second(error) => return Err(error),
        };
        match last.is_empty() {
            true => connection.ended(),
            false => connection.take(&last),
        }
    }

    /// Ends with an error when a reply is overdue.
    async fn overdue(&self, connection: &Connection<'_>) -> ConnectionError {
        either(pin!(self.is_cut()), pin!(connection.sleep(SILENCE_MAX))).await;
        match connection.fin_sent.get() {
            true => {
                ConnectionError::not_closed(connection.number, connection.received.get(), CLOSE_MAX)
            }
            false => connection.unanswered(),
        }
    }

    async fn is_cut(&self) {
        poll_fn(|_| match self.cut.get() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    fn count(
        &self,
        intended: Option<(Time, Duration)>,
        began: Time,
        answered: Time,
        measured: bool,
    ) {
        let counts = match self.shared.load.length {
            Length::For(_) => self.shared.window.get().contains(answered),
            Length::Count(_) => measured,
        };
        self.shared.recorder.borrow_mut().answer(Answer {
            counts,
            timed: measured,
            intended: intended.map(|(intended, late)| (answered.since(intended), late)),
            service: answered.since(began),
            now: answered,
        });
    }

    fn count_sent(&self, bytes: u64) {
        let measured = self.shared.window.get().contains(sys::now());
        self.shared.recorder.borrow_mut().sent(bytes, measured);
    }

    fn count_unsent(&mut self) {
        let window = self.shared.window.get();
        if let (Some(schedule), Length::For(_)) = (&mut self.schedule, self.shared.load.length) {
            let mut recorder = self.shared.recorder.borrow_mut();
            while schedule.next() < window.end {
                recorder.unsent += u64::from(window.contains(schedule.advance()));
            }
        }
    }
}
