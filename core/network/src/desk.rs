//! What a node does not decide itself.

use clavicle_admission::Neighbourhood;
use clavicle_ledger::id::EnvelopeHash;
use clavicle_ledger::key::Key;

use crate::message::{MailboxRequest, Request, Response};

/// Where a [`Node`](crate::swarm::Node) brings what arrives.
///
/// Every method may take its time, verify signatures and read a store: none is called on the task that serves the
/// network. At most 8 calls of [`Desk::answer`], and 8 of the others together, run at once; and beside those 4 with a revocation, and for each relay
/// one that asks for the newest block.
pub trait Desk: Send + Sync + 'static {
    /// Takes in what another relay forwarded: bytes that claim to be an envelope.
    fn receive(&self, envelope: &[u8]) -> Received;

    /// Answers a question of `asker`, whose libp2p key it is. [`Query::Waiting`](crate::message::Query::Waiting) and
    /// [`Query::Envelopes`](crate::message::Query::Envelopes) do not come here: the node answers them, to relays alone.
    /// [`Query::Newest`](crate::message::Query::Newest) comes from relays alone, and of each so often and no more often.
    /// Nor does what is about mailboxes: that goes to [`Desk::mailbox`].
    fn answer(&self, asker: Key, request: Request) -> Response;

    /// Answers what is asked about a mailbox, by whoever came from there. Without mailboxes there is no answer. To
    /// [`MailboxRequest::Wait`] the answer is [`MailboxResponse::Messages`](crate::message::MailboxResponse::Messages) without any where nothing
    /// lies in it: then the node holds the question.
    fn mailbox(&self, asker: Key, from: Neighbourhood, request: MailboxRequest) -> Response {
        let _ = (asker, from, request);
        Response::Unavailable
    }

    /// The transactions that wait for a block, the newest first when there are more than
    /// [`MAX_WAITING`](crate::message::MAX_WAITING).
    fn waiting(&self) -> Vec<EnvelopeHash>;

    /// A transaction that waits, encoded. The node asks others for one that they name and that is none here; should it
    /// have been executed here already, [`Desk::receive`] ignores it.
    fn envelope(&self, hash: &EnvelopeHash) -> Option<Vec<u8>>;
}

/// What becomes of a transaction that another relay forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// New and sound: it is forwarded.
    Accept,
    /// Known already, or it cannot be told now: it is not forwarded, and that is nobody's fault.
    Ignore,
    /// Unsound whatever the state: whoever forwarded it is at fault.
    Reject,
}
