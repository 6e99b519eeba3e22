//! The top layer: builds the parts from the configuration, starts the lanes, and stops them in
//! order. Called by `cli`.
//!
//! Life of the process: plan (lanes, poller, number of sessions) and try the configuration on this
//! machine → bind every listener → start the lanes → serve until a signal → drain within the grace
//! period → stop.

mod accept_points;
mod access;
mod activation;
mod answers;
mod bind;
mod changeable;
mod command;
mod config_file;
mod control;
mod control_checks;
mod dashboard;
mod discovered;
mod discovering;
mod discovery_state;
mod error;
mod generation;
mod health;
mod here;
mod here_sources;
mod in_service;
mod inherited;
mod journal;
mod lack_of_ports;
mod lane;
mod lane_sessions;
mod log;
mod log_control;
mod log_file;
mod log_queue;
mod log_target;
mod log_text;
mod memory;
mod metric_facts;
mod options;
mod plan;
mod point;
mod process;
mod reached;
mod refused_option;
mod reload;
mod reloading;
mod run;
mod sandbox;
mod service;
mod signals;
mod stop;
mod supervision;
mod unix_socket;
mod upstreams;
mod wanted;
mod watching;

#[cfg(feature = "sim")]
pub(crate) use self::changeable::{Bound, Changeable};
#[cfg(feature = "sim")]
pub(crate) use self::command::{Command, LaneSenders};
pub(crate) use self::config_file::read_config;
pub(crate) use self::error::ServerError;
pub(crate) use self::error::chain;
pub(crate) use self::here::check as check_here;
#[cfg(feature = "sim")]
pub(crate) use self::in_service::InService;
#[cfg(feature = "sim")]
pub(crate) use self::lane::{LanePlan, Serving, open};
pub(crate) use self::reload::Origin;
pub(crate) use self::run::run;
pub(crate) use self::unix_socket::listens;
#[cfg(feature = "sim")]
pub(crate) use crate::control::Reply;
pub(crate) use crate::sys::has_ipv6;
