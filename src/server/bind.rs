//! Opens every listener before anything serves, so that what cannot be had is said at once.

use std::io;
use std::net::SocketAddr;

use super::error::ServerError;
use super::options;
use crate::config::Config;
use crate::net::Listener;
use crate::sys::{self, OsSocket};

/// The listening sockets of one lane, each with the index of its listener in the configuration.
pub(crate) type LaneListeners = Vec<(usize, OsSocket)>;

/// Where each listener of the configuration, by its index, is bound.
pub(super) type Bound = Vec<(usize, SocketAddr)>;

/// One socket per lane for every address, or where the system does not spread connections over
/// them, one of the first lane. Also gives each listener's addresses as bound.
pub(super) fn bind(
    config: &Config,
    lanes: usize,
) -> Result<(Vec<LaneListeners>, Bound), ServerError> {
    let all = || {
        config
            .listeners
            .iter()
            .enumerate()
            .flat_map(|(index, listener)| {
                let many = listener.bind.len() > 1;
                listener
                    .bind
                    .iter()
                    .enumerate()
                    .map(move |(place, &address)| {
                        let place = if many {
                            format!("[{place}]")
                        } else {
                            String::new()
                        };
                        (index, format!("listener[{index}].bind{place}"), address)
                    })
            })
    };
    for (_, key, address) in all().filter(|(_, _, address)| address.port() != 0) {
        match sys::port_is_taken(address) {
            Ok(false) => {}
            Ok(true) => return Err(ServerError::InUse { key, address }),
            Err(error) => {
                return Err(ServerError::Bind {
                    key,
                    address,
                    error,
                });
            }
        }
    }
    let mut of_lanes: Vec<LaneListeners> = (0..lanes).map(|_| Vec::new()).collect();
    let mut bound = Vec::new();
    for (index, key, mut address) in all() {
        let backlog = config.listeners[index].backlog;
        let options = options::socket(&config.listeners[index].socket);
        let accepting = if sys::SPREADS_LISTENERS { lanes } else { 1 };
        for lane in &mut of_lanes[..accepting] {
            let fail = |error: io::Error| ServerError::Bind {
                key: key.clone(),
                address,
                error,
            };
            let socket = Listener::bind(address, backlog, &options).map_err(fail)?;
            // Port 0: the first lane's choice is everybody's.
            address = Listener::address_of(&socket).map_err(fail)?;
            lane.push((index, socket));
        }
        bound.push((index, address));
    }
    Ok((of_lanes, bound))
}
