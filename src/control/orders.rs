//! The orders of the main thread to the control thread.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::asking::Asking;
use super::discovery::{Following, Wanted};
use super::health::{Keeper, Watch};
use super::removal::retire;
use super::removed::Removal;
use crate::config::EndpointSource;

/// An order of the main thread.
#[derive(Debug)]
pub(crate) enum Order {
    /// End the sessions of removed listeners and endpoints.
    Retire(Vec<Removal>),
    /// Check these endpoints from now on, and no further ones.
    Watch(Vec<Watch>),
    /// Follow these sources of endpoints, and no other.
    Follow(Wanted),
    /// Ask these sources now.
    Refresh(Vec<EndpointSource>),
}

/// Sends orders, from any thread, without waiting.
#[derive(Clone, Debug)]
pub(crate) struct Orders(UnboundedSender<Order>);

impl Orders {
    pub(super) fn channel() -> (Self, UnboundedReceiver<Order>) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), receiver)
    }

    pub(crate) fn send(&self, order: Order) {
        // The control thread lives as long as the process.
        drop(self.0.send(order));
    }
}

/// Obeys orders until the main thread has ended.
pub(super) async fn obey(
    asking: &Arc<Asking>,
    health: &Arc<Keeper>,
    orders: &mut UnboundedReceiver<Order>,
    following: &mut Following,
) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Retire(removals) => retire(asking, removals),
            Order::Watch(watches) => health.watch(watches),
            Order::Follow(wanted) => following.follow(wanted),
            Order::Refresh(sources) => following.refresh(&sources),
        }
    }
}
