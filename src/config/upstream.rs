//! `[[upstream]]`: a name for the endpoints that a proxy connects to.
//!
//! Read by `Config::parse` before the listeners, which refer to an upstream by its name here and
//! by its index afterwards. One that no listener uses is accepted: it may be there for tomorrow.

use std::net::SocketAddr;

use super::address;
use super::errors::Reported;
use super::file::Section;
use super::names::Names;

/// One `[[upstream]]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Unique among the upstreams; `upstream[].name`.
    pub name: String,
    /// Where connections go, in the order of the file: at least one, none twice, no port 0;
    /// `upstream[].endpoints`.
    pub endpoints: Vec<SocketAddr>,
}

/// Reads every upstream of the file, and their names for those who refer to them.
pub(super) fn read_all(root: &mut Section<'_>) -> (Vec<Result<Upstream, Reported>>, Names) {
    let mut names = Names::new("upstream");
    let upstreams = root.tables("upstream", |index, section| {
        let name = names.read(index, section);
        let endpoints = section.required(
            "endpoints",
            "a list, e.g. endpoints = [\"127.0.0.1:7007\"]",
            address::endpoints,
        );
        Ok(Upstream {
            name: name?,
            endpoints: endpoints?,
        })
    });
    names.close(upstreams.len());
    (upstreams, names)
}
