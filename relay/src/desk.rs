//! What this relay says over libp2p: to other relays, and to wallets.

use std::sync::Arc;

use clavicle_admission::Neighbourhood;
use clavicle_ledger::confirm::Newest;
use clavicle_ledger::encoding::{self, Bytes, Text};
use clavicle_ledger::id::EnvelopeHash;
use clavicle_ledger::key::{Key, Signature};
use clavicle_ledger::light::CertifiedHeader;
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::time::{Height, LocalTime};
use clavicle_ledger::transaction::Envelope;
use clavicle_ledger::tree::{self, StateProof};
use clavicle_network::message::{
    Decided, DecidedBlock, Included, List, MAX_BLOCK_BYTES, MAX_BLOCKS, MAX_CHANGES, MAX_HOLDINGS, MailboxRefusal,
    MailboxRequest, MailboxResponse, ProvenRows, Query, Request, Response, RowKey, Verdict,
};
use clavicle_network::swarm::{Desk, Received};

use crate::challenge::{Challenger, Connection};
use crate::credentials::NoList;
use crate::member::Member;
use crate::room::Room;
use crate::seldom::seldom;
use crate::service::Records;
use crate::store::mailboxes::KeptBy;
use crate::store::{ChainStore, MailboxError, StoreError};
use crate::submission::{Fate, From, Submission, SubmitError};
use crate::timekeeper::Timekeeper;

/// Answers over libp2p.
pub struct RelayDesk {
    /// This source, and the network.
    pub member: Arc<Member>,
    /// Its libp2p key.
    pub network: Key,
    /// Takes transactions in.
    pub submission: Arc<Submission>,
    /// What is kept of and for people: mailboxes, and whom this source vouches for.
    pub records: Records,
    /// What is to be signed in collections.
    pub challenger: Challenger,
    /// The disk that letters are kept on.
    pub room: Room,
    /// Reads the clock.
    pub clock: fn() -> LocalTime,
    /// Dates what is kept.
    pub timekeeper: Arc<Timekeeper>,
}

impl RelayDesk {
    fn store(&self) -> &ChainStore {
        &self.submission.store
    }

    fn submit(&self, envelope: &Envelope) -> Result<Response, StoreError> {
        let verdict = match self.submission.take(&encoding::encode(envelope), From::Somebody) {
            Ok(taken) => {
                let verdict = match taken.fate {
                    Fate::Waits | Fate::Waited => Verdict::Waits,
                    Fate::Executed(height) => Verdict::Executed(height),
                };
                return Ok(match taken.receipt {
                    Some(receipt) => Response::Bound { verdict, receipt },
                    None => Response::Verdict(verdict),
                });
            }
            Err(SubmitError::Full | SubmitError::TooMany) => Verdict::Full,
            Err(SubmitError::Store(error)) => return Err(error),
            Err(SubmitError::NotRunning) => return Ok(Response::Unavailable),
            Err(error) => Verdict::Rejected(sentence(&error.to_string())),
        };
        Ok(Response::Verdict(verdict))
    }

    fn query(&self, query: Query) -> Result<Response, StoreError> {
        let store = self.store();
        Ok(match query {
            Query::Head => {
                let head = store.certified(store.head()?.height)?.map(|head| self.trimmed(head)).transpose()?;
                Response::Head(head.map(Box::new))
            }
            Query::Changes { after } => Response::Changes(List::of(store.validator_changes(after, MAX_CHANGES)?)),
            Query::Rows(keys) => Response::Rows(self.rows(keys.iter().map(|RowKey(key)| *key))?.map(Box::new)),
            Query::Inclusion(hash) => {
                let Some((header, proof)) = store.inclusion(&hash)? else { return Ok(Response::Inclusion(None)) };
                Response::Inclusion(Some(Box::new(Included { header: self.trimmed(header)?, proof })))
            }
            Query::Decided(height) => {
                let decided = store.certified(height)?.zip(store.validators(height)?);
                Response::Decided(decided.map(|(head, validators)| Box::new(Decided { head, validators })))
            }
            Query::Blocks { from, offset } => Response::Blocks(List::of(self.blocks(from, offset)?)),
            Query::Holders(prefix) => Response::Holders(store.holdings(&prefix, MAX_HOLDINGS)?.map(List::of)),
            Query::Newest(inquiry) => {
                let (head, at) = (store.head()?, (self.clock)().0);
                let newest = Newest { inquiry, by: self.member.source, height: head.height, block: head.id(), at };
                Response::Newest(Box::new(newest.sign(&self.member.chain, &self.member.operational)))
            }
            Query::Checkpoints => Response::Checkpoints(List::of(self.member.checkpoints.all())),
            Query::Credential(person) => match self.records.credentials.vouching(&person) {
                Ok(vouching) => Response::Credential(vouching.map(Box::new)),
                // Neither that they are vouched for nor that they are not: the wallet keeps what it has.
                Err(NoList) => Response::Unavailable,
            },
            // The node answers these itself, and only to relays.
            Query::Waiting | Query::Envelopes(_) => Response::Unavailable,
        })
    }

    /// Decided blocks, as many as one answer may bring.
    fn blocks(&self, from: Height, offset: u32) -> Result<Vec<DecidedBlock>, StoreError> {
        let (mut blocks, mut left) = (Vec::new(), MAX_BLOCK_BYTES);
        for height in (from..).take(MAX_BLOCKS) {
            let (Some((bytes, certificate)), Some(validators)) =
                (self.store().block_bytes(height)?, self.store().validators(height)?)
            else {
                break;
            };
            let rest = if height == from { bytes.get(offset as usize..).unwrap_or_default() } else { &bytes };
            if rest.len() > left && height != from {
                break;
            }
            let piece = rest.get(..left).unwrap_or(rest);
            left -= piece.len();
            let certificate = certificate.trimmed(&validators);
            let named = |(place, signature): (usize, &Signature)| {
                validators.validators.get(place).map(|validator| (validator.source, *signature))
            };
            blocks.push(DecidedBlock {
                height,
                round: certificate.round,
                id: certificate.block,
                signatures: List::of(certificate.votes().filter_map(named)),
                len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
                bytes: Bytes::new(piece.to_vec()).unwrap_or_default(),
            });
            if piece.len() < rest.len() {
                break;
            }
        }
        Ok(blocks)
    }

    /// Rows with their proofs, all of one block.
    fn rows(&self, keys: impl Iterator<Item = StateKey>) -> Result<Option<ProvenRows>, StoreError> {
        let snapshot = self.store().snapshot()?;
        let head = snapshot.head().map_err(|_| StoreError::damaged("the head", None))?;
        let Some(certified) = self.store().certified(head.height)? else { return Ok(None) };
        let proven = keys.map(|key| tree::prove(&snapshot, &snapshot, key)).collect::<Result<Vec<StateProof>, _>>();
        let rows = proven.map_err(|_| StoreError::damaged("a row", None))?;
        Ok(Some(ProvenRows { head: self.trimmed(certified)?, rows: List::of(rows) }))
    }

    /// With no more signatures than it needs: whoever only believes it verifies each, and pays for its bytes.
    fn trimmed(&self, head: CertifiedHeader) -> Result<CertifiedHeader, StoreError> {
        let Some(validators) = self.store().validators(head.header.height)? else { return Ok(head) };
        Ok(CertifiedHeader { certificate: head.certificate.trimmed(&validators), ..head })
    }

    fn about_mailbox(
        &self,
        asker: Key,
        from: Neighbourhood,
        request: MailboxRequest,
    ) -> Result<MailboxResponse, StoreError> {
        let now = (self.clock)();
        let answered = match request {
            // Letters stop where the room begins that revocations are written to.
            MailboxRequest::Open { .. } | MailboxRequest::Deposit { .. } if self.room.check(0).is_err() => {
                Ok(MailboxResponse::Refused(MailboxRefusal::Full))
            }
            MailboxRequest::Open { opening, work } => {
                // How long it is kept must not follow from a clock that was set ahead.
                let now = LocalTime(self.timekeeper.dated(self.store()));
                let by = KeptBy { chain: self.member.chain, relay: self.member.source, relay_peer: self.network };
                let opened = self.records.mailboxes.open_box(&opening, work.as_deref(), &by, from, now);
                opened.map(|()| MailboxResponse::Done)
            }
            MailboxRequest::Deposit { mailbox, token, sealed } => {
                let deposited = self.records.mailboxes.deposit(&mailbox, &token, sealed.as_slice(), from, now);
                deposited.map(|()| MailboxResponse::Done)
            }
            MailboxRequest::Challenge => Ok(MailboxResponse::Challenge(self.challenger.challenge(&asker, now))),
            MailboxRequest::Collect(signed) => {
                let connection =
                    Connection { chain: self.member.chain, relay: self.member.source, relay_peer: self.network, asker };
                match self.challenger.check(&signed, &connection, now) {
                    Ok(()) => self.records.mailboxes.collect(&signed.collection, now).map(MailboxResponse::Messages),
                    Err(refusal) => Ok(MailboxResponse::Refused(refusal)),
                }
            }
            MailboxRequest::Wait(signed) => {
                let connection =
                    Connection { chain: self.member.chain, relay: self.member.source, relay_peer: self.network, asker };
                match self.challenger.check(&signed, &connection, now) {
                    Ok(()) => {
                        self.records.mailboxes.has_mail(&signed.collection.mailbox, now).map(|has| {
                            if has { MailboxResponse::Done } else { MailboxResponse::Messages(List::of([])) }
                        })
                    }
                    Err(refusal) => Ok(MailboxResponse::Refused(refusal)),
                }
            }
        };
        answered.or_else(|error| match (error.refusal(), error) {
            (Some(refusal), _) => Ok(MailboxResponse::Refused(refusal)),
            (None, MailboxError::Store(error)) => Err(error),
            (None, MailboxError::Price(price)) => Ok(MailboxResponse::Price(price)),
            (None, _) => Ok(MailboxResponse::Refused(MailboxRefusal::NoMailbox)),
        })
    }
}

fn unavailable(error: StoreError) -> Response {
    seldom!(error!(%error, "a question could not be answered"));
    Response::Unavailable
}

/// As much of a sentence as fits a text of the wire.
pub(crate) fn sentence(text: &str) -> Text<256> {
    let mut short: String = text.chars().filter(|c| !c.is_control()).collect();
    while short.len() > 256 {
        short.pop();
    }
    Text::new(&short).unwrap_or_default()
}

impl Desk for RelayDesk {
    fn receive(&self, envelope: &[u8]) -> Received {
        match self.submission.take(envelope, From::Gossip) {
            Ok(taken) if taken.fate == Fate::Waits => Received::Accept,
            Err(SubmitError::Decode(_) | SubmitError::Stateless(_)) => Received::Reject,
            // Known, or refused on a state that the others need not share.
            Ok(_) | Err(_) => Received::Ignore,
        }
    }

    fn answer(&self, _: Key, request: Request) -> Response {
        let answered = match request {
            Request::Submit(envelope) => self.submit(&envelope),
            Request::Query(query) => self.query(query),
            // Not known where it comes from.
            Request::Mailbox(_) => Ok(Response::Unavailable),
        };
        answered.unwrap_or_else(unavailable)
    }

    fn mailbox(&self, asker: Key, from: Neighbourhood, request: MailboxRequest) -> Response {
        self.about_mailbox(asker, from, request).map_or_else(unavailable, Response::Mailbox)
    }

    fn waiting(&self) -> Vec<EnvelopeHash> {
        self.submission.mempool.hashes()
    }

    fn envelope(&self, hash: &EnvelopeHash) -> Option<Vec<u8>> {
        self.submission.mempool.find(hash).map(|envelope| encoding::encode(envelope.envelope()))
    }
}
