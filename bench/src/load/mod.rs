//! The data path: the lanes, and what each connection of a lane does.

mod bulk;
mod churn;
mod connecting;
mod connection;
pub(crate) mod control;
mod exchange;
mod idle_policy;
pub(crate) mod lane;
mod lane_context;
pub(crate) mod lane_event;
mod pacer;
mod pattern;
mod proxy_header;
pub(crate) mod recorder;
pub(crate) mod schedule;
pub(crate) mod script;
pub(crate) mod work;
