//! What the two sides of a pickup are bound to while they show each other that they know the answer.

use clavicle_ledger::key::Key;
use iroh::endpoint::Connection;

use super::PROTOCOL;
use super::cpace::{Inputs, lv_cat};
use super::message::PickupId;
use super::secret::Secret;

/// What each side says of itself in its proof, so that none can be sent back as the other's.
const ROLES: [&[u8]; 2] = [b"wallet", b"source"];
const SESSION: &[u8] = b"clavicle/pickup/2 session";

/// One connection between two proven keys, for one pickup. A proof that was made for it is none for any other: whoever stands in between
/// has another key, and can pass on nothing.
pub(super) struct Bond {
    channel: Vec<u8>,
    session: [u8; 32],
}

impl Bond {
    /// Of a connection between the wallet with this key and the source with this transfer key; nothing when the connection is over.
    pub(super) fn of(connection: &Connection, id: &PickupId, wallet: Key, transfer: Key) -> Option<Self> {
        let PickupId { chain, source, ticket } = id;
        let mut session = [0; 32];
        // Both ends of one TLS session, and nobody else, come to the same.
        connection.export_keying_material(&mut session, SESSION, &[]).ok()?;
        let parts = [PROTOCOL, chain.as_bytes(), source.as_bytes(), wallet.as_bytes(), transfer.as_bytes()];
        let channel = lv_cat(&[&parts[..], &[ticket.as_bytes()]].concat());
        Some(Self { channel, session })
    }

    /// What goes into a run.
    pub(super) fn inputs<'a>(&'a self, secret: &'a Secret) -> Inputs<'a> {
        Inputs { secret: secret.as_bytes(), channel: &self.channel, session: &self.session, roles: ROLES }
    }
}
