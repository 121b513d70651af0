//! Settings of a receiver.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeSet;
use std::path::PathBuf;

use super::title::AeTitle;

/// The smallest and largest data unit that may be asked for. The lower bound is what PS3.8 Annex D would have every system take.
pub(super) const PDU_RANGE: core::ops::RangeInclusive<u32> = (4 << 10)..=(1 << 20);

/// Which called AE titles are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Called {
    /// Any. Many senders are configured with whatever name once worked.
    Any,
    /// The receiver's own alone.
    #[default]
    Own,
}

/// Which calling AE titles are accepted. A title is no proof of who calls: it keeps mistakes out, not attackers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Calling {
    /// Any.
    #[default]
    Any,
    /// These.
    These(BTreeSet<AeTitle>),
}

/// How a receiver works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Its own AE title.
    pub ae_title: AeTitle,
    /// Which titles it may be called by.
    pub called: Called,
    /// Who may call.
    pub calling: Calling,
    /// Most associations at once, at least one.
    pub max_associations: usize,
    /// Most bytes of an object's data set.
    pub max_object: u64,
    /// How long a step may take: the request for an association, the next command, the next 64 KiB of a data set. Whoever
    /// takes longer is gone, or wants to keep others out.
    pub timeout: Duration,
    /// Where files are received. One receiver owns it; nobody else should put files into it.
    pub spool: PathBuf,
    /// The longest data unit that peers may send, in bytes; it costs no memory here. On loopback, 128 KiB make one large object faster
    /// by half than 64 KiB; on a hospital's network either is faster than the network.
    pub max_pdu: u32,
}

impl Settings {
    /// Settings as most need them: 32 associations, objects of up to 4 GiB, 60 seconds for a step, data units of 64 KiB.
    #[must_use]
    pub fn new(listen: SocketAddr, ae_title: AeTitle, spool: PathBuf) -> Self {
        Self {
            listen,
            ae_title,
            called: Called::Own,
            calling: Calling::Any,
            max_associations: 32,
            max_object: 4 << 30,
            timeout: Duration::from_secs(60),
            spool,
            max_pdu: 64 << 10,
        }
    }

    pub(super) fn may_be_called(&self, title: &AeTitle) -> bool {
        self.called == Called::Any || *title == self.ae_title
    }

    pub(super) fn may_call(&self, title: &AeTitle) -> bool {
        match &self.calling {
            Calling::Any => true,
            Calling::These(titles) => titles.contains(title),
        }
    }
}
