//! Permissions in the admin API: by the user of the connecting process, at two levels.

use super::refusal::Refusal;
use crate::sys::local::LocalPeer;

/// The permission for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Sees everything, changes nothing.
    Read,
    /// Changes the running server.
    Operate,
}

/// The users of the admin API. Root and the user of the server may operate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    /// The user of the server.
    pub(crate) own: u32,
    /// Users with permission to read.
    pub(crate) read: Vec<u32>,
    /// Users with permission to read and operate.
    pub(crate) operate: Vec<u32>,
}

impl Access {
    /// Refuses a peer without the right to a request of this level.
    pub(super) fn check(&self, peer: LocalPeer, needed: Level) -> Result<(), Refusal> {
        let uid = peer.uid;
        let allowed = if uid == 0 || uid == self.own || self.operate.contains(&uid) {
            Some(Level::Operate)
        } else {
            self.read.contains(&uid).then_some(Level::Read)
        };
        if allowed.is_some_and(|allowed| allowed >= needed) {
            return Ok(());
        }
        let key = match needed {
            Level::Read => "control.read or control.operate",
            Level::Operate => "control.operate",
        };
        Err(Refusal::forbidden(format!(
            "user {uid} may not do this; root, the server's user and the users of {key} may"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Level, LocalPeer};

    #[test]
    fn users_have_levels() {
        let access = Access {
            own: 100,
            read: vec![5],
            operate: vec![6],
        };
        for (uid, reads, operates) in [
            (0, true, true),
            (100, true, true),
            (6, true, true),
            (5, true, false),
            (7, false, false),
        ] {
            let peer = LocalPeer { uid, pid: None };
            assert_eq!(access.check(peer, Level::Read).is_ok(), reads, "{uid}");
            assert_eq!(
                access.check(peer, Level::Operate).is_ok(),
                operates,
                "{uid}"
            );
        }
        let refused = access.check(LocalPeer { uid: 7, pid: None }, Level::Operate);
        let message = refused.unwrap_err().message;
        assert!(
            message.contains("user 7") && message.contains("control.operate"),
            "{message}"
        );
    }
}
