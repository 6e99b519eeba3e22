//! The followed sources: a task of the control thread for each, with reports of full sets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::dns::{self, Resolver};
use super::etcd::follow_etcd;
use super::file::watch_file;
use super::report::{Reports, Sink};
use crate::config::{EndpointSource, Etcd, Resolver as ResolverOptions};

/// Before a task begins anew after a panic: a defect must not fill the log.
const PAUSE: Duration = Duration::from_secs(1);

/// The sources of a configuration, and the way to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) sources: BTreeSet<EndpointSource>,
    pub(crate) resolver: ResolverOptions,
    pub(crate) etcd: Etcd,
}

/// The sources followed at present. Drop ends all tasks.
pub(in crate::control) struct Following {
    to: Sink,
    resolver: Option<(ResolverOptions, Arc<Resolver>)>,
    etcd: Option<Arc<Etcd>>,
    followed: BTreeMap<EndpointSource, Followed>,
}

#[derive(Debug)]
struct Followed {
    refresh: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Following {
    /// Follows nothing yet; reports go to `to`.
    pub(in crate::control) fn new(to: Sink) -> Self {
        Self {
            to,
            resolver: None,
            etcd: None,
            followed: BTreeMap::new(),
        }
    }

    /// Follows these sources alone from now on.
    pub(in crate::control) fn follow(&mut self, wanted: Wanted) {
        let Wanted {
            sources,
            resolver,
            etcd,
        } = wanted;
        let is_new = !matches!(&self.resolver, Some((options, _)) if *options == resolver);
        if is_new {
            let new = Arc::new(Resolver::new(resolver.clone()));
            self.resolver = Some((resolver, new));
            self.followed.retain(|source, _| !source.is_name());
        }
        if self.etcd.as_deref() != Some(&etcd) {
            self.etcd = Some(Arc::new(etcd));
            self.followed.retain(|source, _| !source.is_etcd());
        }
        self.followed.retain(|source, _| sources.contains(source));
        for source in sources {
            if !self.followed.contains_key(&source) {
                let followed = self.start(source.clone());
                self.followed.insert(source, followed);
            }
        }
    }

    /// Asks these sources again now.
    pub(in crate::control) fn refresh(&self, sources: &[EndpointSource]) {
        let known = sources
            .iter()
            .filter_map(|source| self.followed.get(source));
        known.for_each(|followed| followed.refresh.notify_one());
    }

    fn start(&self, source: EndpointSource) -> Followed {
        let refresh = Arc::new(Notify::new());
        let reports = Arc::new(Reports {
            source,
            to: Arc::clone(&self.to),
            refresh: Arc::clone(&refresh),
            left_out: AtomicUsize::new(0),
        });
        let (_, resolver) = self.resolver.as_ref().expect("set before");
        let resolver = Arc::clone(resolver);
        let etcd = Arc::clone(self.etcd.as_ref().expect("set before"));
        let task = tokio::spawn(async move {
            loop {
                let (resolver, etcd) = (Arc::clone(&resolver), Arc::clone(&etcd));
                let own = Arc::clone(&reports);
                // Ends by a panic, with a line in the log, or with this task.
                let mut task = OnDrop(tokio::spawn(follow(resolver, etcd, own)));
                let ended = (&mut task.0).await;
                let why = ended.map_or_else(|error| error.to_string(), |()| "ended".to_owned());
                reports.failed(why, Some(PAUSE));
                sleep(PAUSE).await;
            }
        });
        Followed { refresh, task }
    }
}

/// A task with the life of the owner.
struct OnDrop(JoinHandle<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn follow(resolver: Arc<Resolver>, etcd: Arc<Etcd>, reports: Arc<Reports>) {
    match &reports.source {
        EndpointSource::Name { host, port } => {
            dns::follow_name(&resolver, host, *port, &reports).await;
        }
        EndpointSource::Service(name) => dns::follow_service(&resolver, name, &reports).await,
        EndpointSource::File(path) => watch_file(path, &reports).await,
        EndpointSource::Etcd(prefix) => follow_etcd(&etcd, prefix, &reports).await,
    }
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Following")
            .field("followed", &self.followed)
            .finish_non_exhaustive()
    }
}
