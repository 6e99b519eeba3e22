//! The ordered list of steps, and the task that walks the list.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::connection::Connection;
use super::control::OpeningControl;
use super::{choose, dial};
use crate::net::Stream;
use crate::proxy::end_reason::Failure;
use crate::proxy::listener_context::ListenerContext;
use crate::proxy::record::Record;
use crate::proxy::spare::Reserved;
use crate::runtime::{Either, either};

/// Makes `any_is_on` and `walk` of the steps.
macro_rules! steps {
    ($($step:ident,)+) => {
        /// Whether connections of this listener have a step to run.
        fn any_is_on(listener_context: &ListenerContext) -> bool {
            [$($step::is_on(listener_context)),+].contains(&true)
        }

        /// Runs every step that is on, until a step ends the session.
        async fn walk(connection: &Connection) -> Result<(), Failure> {
            $(
                if $step::is_on(connection.record.listener_context()) {
                    $step::run(connection).await?;
                }
            )+
            Ok(())
        }
    };
}

steps! {
    choose,
    dial,
}

/// Begins the session of a connection. `reserved` is for a service with an upstream.
pub(in crate::proxy) fn start(client: Stream, record: Record, reserved: Option<Reserved>) {
    let is_any_on = any_is_on(record.listener_context());
    let connection = Connection::new(client, record, reserved);
    if is_any_on {
        let lane = connection.client.lane().clone();
        let control = OpeningControl::new(&connection.record);
        let opening = open(connection, Rc::clone(&control));
        lane.spawn_controlled(&"opening", control, opening);
    } else {
        connection.finish(Ok(()), None);
    }
}

/// Walks the steps, unless the client resets or the lane ends the session meanwhile.
async fn open(connection: Connection, control: Rc<OpeningControl>) {
    let ended = {
        let steps = pin!(walk(&connection));
        let stopped = pin!(poll_fn(|context| match control.asked() {
            Some(reason) => Poll::Ready(reason.into()),
            None => connection.poll_client(context),
        }));
        match either(steps, stopped).await {
            Either::First(ended) => ended,
            Either::Second(failure) => Err(failure),
        }
    };
    let ended = (control.asked()).map_or(ended, |reason| Err(reason.into()));
    let mut connection = Some(connection);
    let relay = |context: &mut Context<'_>| {
        let connection = connection.take().into_iter();
        connection.for_each(|connection| connection.finish(ended, Some(context)));
        Poll::Ready(())
    };
    poll_fn(relay).await;
}
