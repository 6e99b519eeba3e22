//! The invariants that are visible from outside.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use super::counters::every_counter;
use super::party::{End, Ending, Party};
use super::records::{self, Record};
use super::versions::Versions;
use super::violation::Violation;
use super::world::{UPSTREAM_NAME, World};
use crate::sys::sim::{Closed, Fault, Mark, with};

impl World {
    fn party(&self, name: u64) -> Option<&Party> {
        let index = if name >= UPSTREAM_NAME {
            self.plan.clients as u64 + (name - UPSTREAM_NAME)
        } else {
            name.checked_sub(1)?
        };
        self.parties.get(usize::try_from(index).ok()?)?.as_ref()
    }

    /// I2 and I3: a FIN arrives only after all bytes of a source that has sent a FIN.
    pub(super) fn check_fin(&self, index: usize) -> Result<(), Violation> {
        let sink = self.parties[index]
            .as_ref()
            .expect("the party has just seen a FIN");
        let is_client = index < self.plan.clients;
        let echoes = is_client && !self.is_relayed(index);
        let source = match sink.reader.name() {
            _ if echoes => Some(sink),
            Some(name) => self.party(name),
            None => None,
        };
        let received = sink.reader.received;
        let Some(source) = source else {
            // Too few bytes to identify the source: accept any matching source.
            let sources = if is_client {
                &self.parties[self.plan.clients..]
            } else {
                &self.parties[..self.plan.clients]
            };
            let some = sources
                .iter()
                .flatten()
                .any(|p| p.sent_fin && p.sent == received);
            return some.then_some(()).ok_or_else(|| {
                let what = format!("party {} saw a FIN without a sender", sink.name);
                Violation::new("I3", what)
            });
        };
        if !source.sent_fin {
            let what = format!(
                "party {} saw a FIN, party {} has sent none ({:?})",
                sink.name, source.name, source.did
            );
            return Err(Violation::new("I3", what));
        }
        if received != source.sent {
            let what = format!(
                "party {} saw a FIN after {received} bytes of the {} of party {}",
                sink.name, source.sent, source.name
            );
            return Err(Violation::new("I2", what));
        }
        Ok(())
    }

    /// I4: a party's bytes go to one sink, and the sink's bytes come back.
    pub(super) fn check_pair(&mut self, index: usize) -> Result<(), Violation> {
        let party = self.parties[index]
            .as_ref()
            .expect("the party has just acted");
        let Some(from) = party.reader.name() else {
            return Ok(());
        };
        let (to, echoes) = (
            party.name,
            index < self.plan.clients && !self.is_relayed(index),
        );
        if self.pairs.get(&to) == Some(&from) {
            return Ok(());
        }
        let other = self.pairs.insert(to, from);
        let is_client = index < self.plan.clients;
        let right_kind = match (echoes, is_client) {
            (true, _) => from == to,
            (false, true) => from >= UPSTREAM_NAME,
            (false, false) => from < UPSTREAM_NAME,
        };
        let mutual = self.pairs.get(&from).is_none_or(|&back| back == to);
        let exists = self.party(from).is_some();
        if other.is_some() || !right_kind || !mutual || !exists {
            let what = format!("party {to} got bytes of party {from}");
            return Err(Violation::new("I4", what));
        }
        Ok(())
    }

    /// I9, before time advances: no session waits for a permit while a permit is free, not even for
    /// an ended session's.
    pub(super) fn check_waiters(&self) -> Result<(), Violation> {
        for generation in &self.generations {
            let limit = generation.limit();
            let (live, max) = (limit.live(), limit.max());
            if limit.waiting() > 0 && live < max {
                let what = format!("a client waits with {live} sessions of {max}");
                return Err(Violation::new("I9", what));
            }
        }
        Ok(())
    }

    /// I9: a client's descriptor is open only while its session holds a permit, except for one
    /// descriptor per accept loop.
    pub(super) fn check_permits(&self) -> Result<(), Violation> {
        let permits: usize = self.generations.iter().map(|g| g.limit().live()).sum();
        let lanes = self.generations.iter().flat_map(|g| &g.lanes);
        let loops: usize = lanes.map(|lane| lane.accept_loops().max(2)).sum();
        let open = with(|kernel| kernel.accepted_open);
        if open > permits + loops {
            let what = format!("{open} clients' descriptors for {permits} permits");
            return Err(Violation::new("I9", what));
        }
        Ok(())
    }

    /// I5: the bytes that corelane has read of a stream and not yet written are bounded.
    pub(super) fn check_held(&self, index: usize) -> Result<(), Violation> {
        let Some(sink) = &self.parties[index] else {
            return Ok(());
        };
        let source = sink.reader.name().and_then(|name| self.party(name));
        let Some((source, from)) = source.and_then(|s| Some((s, s.socket?))) else {
            return Ok(());
        };
        let Some(to) = sink.socket else { return Ok(()) };
        let ends = with(|kernel| Some((kernel.other_end(from)?, kernel.other_end(to)?)));
        let Some(((read, _), (_, written))) = ends else {
            return Ok(());
        };
        let held = usize::try_from(read.saturating_sub(written)).unwrap_or(usize::MAX);
        let lane = |options: &crate::runtime::LaneOptions| {
            2 * (options.queue_buffers + 2) * options.pool.buffer_bytes
        };
        // A stream that is being cancelled still delivers the kernel's bytes of the moment.
        let mark = self.plan.lanes.iter().map(lane).max().unwrap_or(0);
        let bulk = self.plan.faults.has(Fault::Bulk);
        let one_move = if bulk { 1 << 20 } else { 0 };
        let bound = mark + 2 * self.plan.limits.receive_buffer + one_move;
        if held > bound {
            let what = format!(
                "corelane holds {held} bytes from party {} for party {}, {bound} at most",
                source.name, sink.name
            );
            return Err(Violation::new("I5", what));
        }
        Ok(())
    }
}

/// The invariants of a finished world.
pub(super) fn at_the_end(world: World) -> Result<(), Violation> {
    if world.was_killed {
        let result = every_end(&world);
        // The kernel has closed the killed process's descriptors already.
        let _left = std::mem::ManuallyDrop::new(world.generations);
        return result;
    }
    for generation in &world.generations {
        if !generation.is_over() {
            return Err(Violation::new("I7", "a lane does not end"));
        }
        if generation.limit().live() > 0 {
            let live = generation.limit().live();
            return Err(Violation::new(
                "I6",
                format!("{live} permits were not returned"),
            ));
        }
        let leases = generation.leases();
        if leases > 0 {
            let what = format!("{leases} leases of endpoints did not come back");
            return Err(Violation::new("I6", what));
        }
        for lane in &generation.lanes {
            let used = lane.pool.in_use();
            if used > 0 {
                return Err(Violation::new(
                    "I6",
                    format!("{used} buffers were not returned"),
                ));
            }
        }
    }
    every_end(&world)?;
    let records = records::take();
    every_record(&world, &records)?;
    world.check_queue(&records)?;
    let World { generations, .. } = world;
    drop(generations);
    let (descriptors, accepted) = with(|kernel| (kernel.descriptors(), kernel.accepted_open));
    if descriptors > 0 || accepted > 0 {
        let what = format!("{descriptors} descriptors are still open");
        return Err(Violation::new("I6", what));
    }
    Ok(())
}

/// I1, I2 and I7 for every party.
fn every_end(world: &World) -> Result<(), Violation> {
    for (index, party) in world.parties.iter().enumerate() {
        let Some(party) = party else { continue };
        let source = party.reader.name().and_then(|name| world.party(name));
        let sent = source.map_or(u64::MAX, |source| source.sent);
        if party.reader.received > sent {
            let what = format!("party {} got more than was sent", party.name);
            return Err(Violation::new("I1", what));
        }
        if !party.is_over() && party.is_connected {
            return Err(Violation::new(
                "I7",
                format!("party {} never ends: {party:?}", party.name),
            ));
        }
        if index < world.plan.clients {
            clean_client(world, index, party)?;
        }
    }
    Ok(())
}

/// I2: two well-behaved ends get all bytes of each other, and a FIN behind them.
fn clean_client(world: &World, index: usize, client: &Party) -> Result<(), Violation> {
    if !client.is_innocent() || world.was_aborted {
        return Ok(());
    }
    if !client.is_connected {
        return connected(world, index, client);
    }
    let relayed = world.is_relayed(index);
    let arrived = world.pairs.iter().find(|&(_, &from)| from == client.name);
    let other = match (relayed, client.reader.name()) {
        (false, _) => Some(client),
        (true, Some(name)) => world.party(name),
        (true, None) => arrived.and_then(|(&to, _)| world.party(to)),
    };
    let Some(other) = other else {
        return if world.plan.may_not_serve() || !relayed {
            Ok(())
        } else if every_upstream_is_innocent(world) {
            let what = format!("client {} was not served: {client:?}", client.name);
            Err(Violation::new("I7", what))
        } else {
            Ok(())
        };
    };
    let excused = world.plan.may_break_off() || !relayed && world.plan.may_not_serve();
    if !other.is_innocent() || excused {
        return Ok(());
    }
    for (source, sink) in [(client, other), (other, client)] {
        if sink.saw != End::Fin || sink.reader.received != source.sent {
            let what = format!(
                "party {} behaved, party {} too; the second got {} of {} bytes and saw {:?}",
                source.name, sink.name, sink.reader.received, source.sent, sink.saw
            );
            return Err(Violation::new("I2", what));
        }
    }
    Ok(())
}

/// I7: the listener of a client that did not connect was away.
fn connected(world: &World, index: usize, client: &Party) -> Result<(), Violation> {
    let stays = match world.is_relayed(index) {
        // The reset of an upstream may arrive with the answer to the connect.
        true => every_upstream_is_innocent(world),
        false => world.always_has_echo(),
    };
    if stays && world.plan.connects_all() {
        let what = format!("client {} was not connected: {client:?}", client.name);
        return Err(Violation::new("I7", what));
    }
    Ok(())
}

fn every_upstream_is_innocent(world: &World) -> bool {
    world.parties[world.plan.clients..]
        .iter()
        .flatten()
        .all(Party::is_innocent)
}

/// The facts to compare the records with.
struct Books<'a> {
    world: &'a World,
    /// The end of each client's connection, by the client's address.
    of_client: HashMap<SocketAddr, &'a Closed>,
    clients: HashMap<SocketAddr, usize>,
    /// The end of each connection to an upstream, by both addresses. Ports are reused, so several
    /// connections may have had the same addresses.
    to_upstream: HashMap<(SocketAddr, SocketAddr), Vec<&'a Closed>>,
    /// The upstream's connection that received a client's bytes.
    upstreams: HashMap<u64, u64>,
    versions: Versions,
}

/// I8 and I10: one record per session, with exact bytes, of one configuration.
fn every_record(world: &World, records: &[Record]) -> Result<(), Violation> {
    let closed = with(|kernel| {
        for record in records {
            if let Some(mark) = mark_of(&record.ended) {
                kernel.pass(mark);
            }
            if record.tries > 1 {
                kernel.pass(Mark::SecondEndpointTried);
            }
        }
        std::mem::take(&mut kernel.closed)
    });
    let mut to_upstream: HashMap<_, Vec<&Closed>> = HashMap::new();
    for c in &closed {
        to_upstream.entry((c.local, c.remote)).or_default().push(c);
    }
    let books = Books {
        world,
        of_client: closed.iter().map(|c| (c.remote, c)).collect(),
        clients: (0..).zip(&world.addresses).map(|(i, a)| (a.0, i)).collect(),
        to_upstream,
        upstreams: world.pairs.iter().map(|(&to, &from)| (from, to)).collect(),
        versions: Versions::of(world),
    };
    let mut seen = HashSet::new();
    for record in records {
        if !record.client.is_some_and(|client| seen.insert(client)) {
            let what =
                format!("a second record of a session, or a record without a session: {record:?}");
            return Err(Violation::new("I8", what));
        }
        books.check(record)?;
    }
    let lanes = world.generations.iter().flat_map(|g| &g.lanes);
    let sessions: u64 = lanes.map(|lane| lane.stats.begun.value()).sum();
    if sessions != records.len() as u64 {
        let what = format!("{} records of {sessions} sessions", records.len());
        return Err(Violation::new("I8", what));
    }
    every_counter(world, records)
}

impl Books<'_> {
    fn check(&self, record: &Record) -> Result<(), Violation> {
        let bad = |what: &str| Err(Violation::new("I8", format!("{what}: {record:?}")));
        let found = record.client.and_then(|address| {
            let (end, client) = (self.of_client.get(&address)?, self.clients.get(&address)?);
            Some((*end, *client))
        });
        let Some((end, client)) = found else {
            return bad("a record without a session");
        };
        self.versions.check(self.world, record, end)?;
        // At an abort a send without an answer is not counted.
        let orderly = record.ended.ends_with("_fin");
        let fits = |taken: u64, said: u64| taken == said || !orderly && taken > said;
        if !fits(end.written, record.to_client) {
            return bad(&format!("the client's kernel took {} bytes", end.written));
        }
        if record.from_client > end.read {
            return bad("more from the client than was read");
        }
        if record.ended == "local_resources" && record.tries < 2 && !self.world.plan.may_lack() {
            return bad("a client was accepted without a free socket for its upstream");
        }
        // A freeze may outlast the connect timeout, and the result arrives after it.
        let plan = &self.world.plan;
        let passed_over = record.tries > 1 && !plan.faults.has(Fault::Frozen);
        let is_refused = ["connect_refused", "connect_unreachable"].contains(&&*record.ended);
        if (passed_over || is_refused) && !plan.may_not_connect() {
            return bad("an endpoint that accepts was passed over");
        }
        let name = client as u64 + 1;
        let upstream = self.upstreams.get(&name);
        let peer = match &*record.ended {
            "client_timeout" => Some(name),
            "upstream_timeout" => upstream.copied(),
            _ => None,
        };
        let peer = peer.and_then(|name| self.world.party(name));
        if peer.is_some_and(|peer| !matches!(peer.conduct.ending, Ending::Vanish(_))) {
            return bad("a timeout of a peer that was there");
        }
        if !self.world.is_relayed(client) {
            return not_silent(record, end, end);
        }
        let Some(&to) = upstream else {
            return Ok(());
        };
        let arrival = usize::try_from(to - UPSTREAM_NAME).expect("few");
        let (local, endpoint) = self.world.arrivals[arrival];
        self.versions.reached(record, endpoint)?;
        before_reset(self.world, record, name, to, end)?;
        let all = local.and_then(|local| self.to_upstream.get(&(local, endpoint)));
        let said = record.from_client;
        if all.is_some_and(|all| !all.iter().any(|c| fits(c.written, said))) {
            return bad(&format!("the upstream's kernel took {all:?}"));
        }
        if let Some(&[upstream]) = all.map(Vec::as_slice) {
            not_silent(record, end, upstream)?;
            not_silent(record, upstream, end)?;
        }
        Ok(())
    }
}

/// I11: no session ends for silence while bytes of its source had arrived and its sink would have
/// accepted them.
fn not_silent(record: &Record, source: &Closed, sink: &Closed) -> Result<(), Violation> {
    let for_silence = ["idle_timeout", "half_close_timeout"].contains(&&*record.ended);
    let spoke = source.unread > 0 && source.unread_since < record.at;
    if for_silence && spoke && sink.acknowledged_since < record.at {
        let what = format!(
            "bytes had arrived at {} us when {record:?} ended for silence",
            source.unread_since / 1_000
        );
        return Err(Violation::new("I11", what));
    }
    Ok(())
}

/// I1: bytes before a client's reset are delivered to an upstream that continues to read, as on a
/// direct connection.
fn before_reset(
    world: &World,
    record: &Record,
    client: u64,
    upstream: u64,
    end: &Closed,
) -> Result<(), Violation> {
    let (Some(client), Some(upstream)) = (world.party(client), world.party(upstream)) else {
        return Ok(());
    };
    let applies = record.ended == "client_rst"
        && client.did == End::Reset(0)
        && upstream.is_innocent()
        && upstream.saw != End::Open
        && !world.was_aborted
        && !world.plan.may_break_off();
    if applies && (record.from_client != end.read || end.unread > 0) {
        let what = format!(
            "{} bytes came before the reset of party {}, {} were delivered: {record:?}",
            end.read + end.unread,
            client.name,
            record.from_client
        );
        return Err(Violation::new("I1", what));
    }
    Ok(())
}

fn mark_of(ended: &str) -> Option<Mark> {
    Some(match ended {
        "client_fin" => Mark::EndedClientFin,
        "upstream_fin" => Mark::EndedUpstreamFin,
        "client_rst" => Mark::EndedClientRst,
        "upstream_rst" => Mark::EndedUpstreamRst,
        "client_timeout" => Mark::EndedClientTimeout,
        "upstream_timeout" => Mark::EndedUpstreamTimeout,
        "idle_timeout" => Mark::EndedIdleTimeout,
        "half_close_timeout" => Mark::EndedHalfCloseTimeout,
        "lifetime" => Mark::EndedLifetime,
        "connect_refused" => Mark::EndedConnectRefused,
        "connect_timeout" => Mark::EndedConnectTimeout,
        "connect_unreachable" => Mark::EndedConnectUnreachable,
        "local_resources" => Mark::EndedLocalResources,
        "shutdown" => Mark::EndedShutdown,
        "queue_full" => Mark::EndedQueueFull,
        "queue_timeout" => Mark::EndedQueueTimeout,
        _ => return None,
    })
}
