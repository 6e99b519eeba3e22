//! A connection of a TCP socket of the control plane, which gives its place up: to a newer
//! connection when all places are taken, or because the client does not read its answer.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

use crate::sys;

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Seat {
    /// An answer is being made: not the client's fault.
    is_answering: AtomicBool,
    is_told: AtomicBool,
    /// When the client came or last took a part of an answer. What a client sends does not count:
    /// a slow header would keep its place.
    moved: AtomicU64,
    leave: Notify,
}

impl Seat {
    pub(super) fn new() -> Self {
        Self {
            is_answering: AtomicBool::new(false),
            is_told: AtomicBool::new(false),
            moved: AtomicU64::new(sys::now().as_nanos()),
            leave: Notify::new(),
        }
    }

    /// The order in which connections give up their places; none while an answer is made, and
    /// none twice.
    pub(super) fn idle_since(&self) -> Option<u64> {
        let keeps = self.is_answering.load(Relaxed) || self.is_told.load(Relaxed);
        (!keeps).then(|| self.moved.load(Relaxed))
    }

    /// Ends the connection.
    pub(super) fn leave(&self) {
        self.is_told.store(true, Relaxed);
        self.leave.notify_one();
    }

    /// Makes an answer. The connection keeps its place meanwhile.
    pub(super) async fn answer<T>(&self, making: impl Future<Output = T>) -> T {
        self.is_answering.store(true, Relaxed);
        let made = making.await;
        self.is_answering.store(false, Relaxed);
        self.moved.store(sys::now().as_nanos(), Relaxed);
        made
    }

    /// Serves until the connection ends or has to leave.
    pub(super) async fn serve(&self, serving: impl Future<Output = ()>) {
        let (mut serving, mut leave) = (pin!(serving), pin!(self.leave.notified()));
        let either = |context: &mut Context<'_>| match leave.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => serving.as_mut().poll(context),
        };
        poll_fn(either).await;
    }
}

/// The stream of a seat. A write fails that makes no progress for a time.
#[derive(Debug)]
pub(super) struct Seated<S> {
    stream: S,
    seat: Arc<Seat>,
    patience: Duration,
    blocked: Option<Pin<Box<Sleep>>>,
}

impl<S> Seated<S> {
    pub(super) fn new(stream: S, seat: Arc<Seat>, patience: Duration) -> Self {
        Self {
            stream,
            seat,
            patience,
            blocked: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Seated<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Seated<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let seated = &mut *self;
        if let Poll::Ready(written) = Pin::new(&mut seated.stream).poll_write(context, bytes) {
            seated.blocked = None;
            seated.seat.moved.store(sys::now().as_nanos(), Relaxed);
            return Poll::Ready(written);
        }
        let patience = seated.patience;
        let blocked = seated
            .blocked
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        let too_long = blocked.as_mut().poll(context);
        too_long.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::runtime::Builder;

    use super::{Seat, Seated};

    /// For a limit without an effect.
    const LONG: Duration = Duration::from_secs(60);

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test)
    }

    #[test]
    fn a_client_that_takes_nothing_of_an_answer_loses_its_seat() {
        run(async {
            let (mut client, stream) = duplex(16);
            let seat = Arc::new(Seat::new());
            let mut seated = Seated::new(stream, seat, Duration::from_millis(20));
            let error = seated.write_all(&[1; 100]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            // As much as had room.
            drop(seated);
            let mut got = Vec::new();
            client.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, [1; 16]);
        });
    }

    #[test]
    fn a_slow_client_keeps_its_seat() {
        run(async {
            let (mut client, stream) = duplex(16);
            let mut seated = Seated::new(stream, Arc::new(Seat::new()), LONG);
            let reading = tokio::spawn(async move {
                let mut got = Vec::new();
                while let Ok(byte) = client.read_u8().await {
                    got.push(byte);
                }
                got
            });
            seated.write_all(&[2; 1000]).await.unwrap();
            drop(seated);
            assert_eq!(reading.await.unwrap(), [2; 1000]);
        });
    }

    #[test]
    fn a_seat_is_kept_while_an_answer_is_made_and_given_up_once() {
        run(async {
            let seat = Seat::new();
            let before = seat.idle_since().unwrap();
            seat.answer(async { assert_eq!(seat.idle_since(), None) })
                .await;
            assert!(seat.idle_since().unwrap() >= before);
            seat.leave();
            assert_eq!(seat.idle_since(), None, "told already");
            // Ends, though the connection would not.
            seat.serve(std::future::pending()).await;
        });
    }
}
