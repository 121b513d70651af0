//! What strangers can read of a wallet: the transactions that it signs, and what it tells the relays that keep a
//! mailbox.
//!
//! All of it is made here, of what the ledger has proven, of keys that are made for one study or one card, and of
//! random bytes. The device's clock is not among what is passed in, but for the day of a grant that is signed without a
//! network: two phones differ by more than a second, so that a time taken from one is as good as a name.
//!
//! # Every byte, and where it is from
//!
//! On the ledger and in gossip, for everybody:
//!
//! | byte | where it is from | tells |
//! |---|---|---|
//! | `submit_by`, of every transaction | time of the newest proven header, eight days on, down to midnight UTC ([`Head::submit_by`]) | the day; one value for everybody who signs on it |
//! | nonce, of every transaction | 16 random bytes | nothing |
//! | signatures | Ed25519: no randomness, no clock | nothing that the key and the body do not |
//! | length | the same for each kind of transaction | the kind |
//! | DefineStudy: digest | keyed with a random salt, by the source | nothing without the salt |
//! | DefineStudy: source | the source's operational key | the source: see the limits |
//! | DefineStudy: holder | the next of the keys that the 24 words give, one a study | nothing |
//! | DefineStudy: delegates | none, always | nothing |
//! | DefineStudy: manifest root | BLAKE3 over blinded branches, by the source | nothing |
//! | DefineStudy: open | the source: whether more images are expected | one bit |
//! | Grant: study, granter | the study, and its holder | which study |
//! | Grant: grantee | one of the keys of the card that were not used, by chance ([`one_of`]): a card lists them in order, and the first is the least of eight | nothing |
//! | Grant: expiry day | time of the newest proven header, or signed without a network the device's clock, which such a header may be days behind; and for how long somebody chose | how long was chosen |
//! | Grant: terms | commitment with 32 random bytes | nothing |
//! | Grant: request | zeros, always | nothing |
//! | Revoke: study, revoker, grant | the grant | which grant |
//! | Revoke: the grant's `submit_by` | the revocation's own, which no grant of before is beyond: the same where the wallet made the grant and where it found it on the ledger | nothing |
//! | Veto: study, holder, recovery | the study, its holder, and what is pending on it | which study |
//! | TransferStudy: study, holder, new holder | the study, its holder, and the next of the keys of the new words | which study: see the limits |
//! | RecoverStudy: study, new holder | the study, and the next of the keys of the wallet that it is given to | which study; nothing of the wallet |
//! | height, place in the block | the moment at which it was submitted | see the limits |
//!
//! What sources add, on the ledger:
//!
//! | byte | where it is from | tells |
//! |---|---|---|
//! | co-signature of a DefineStudy | made when the claim comes, and submitted at once | the studies of a visit are one after another, in the order of the source's list |
//! | ReviseStudy | `submit_by` the hour of the source's clock, nonce of the study's id; submitted when the archive has a revision | late images of one visit may come in one block |
//! | SetStatus | the source's clock, a random nonce; when an operator says so | whoever suspends the studies of one patient in a row shows it |
//! | Anchor | every ten minutes, of all receipts since | how many there were, of no study |
//!
//! To the relay that is asked, and to nobody else:
//!
//! | byte | where it is from | tells |
//! |---|---|---|
//! | PeerId | a random key for each question | nothing |
//! | network address, moment | the device's | who asks from one address within minutes |
//! | the question | one study, one transaction, or all keys with one beginning | which study is asked about |
//! | the question which block is vouched for | nothing, always the same | that somebody has not looked for more than 14 days |
//! | mailbox: key, token | one of each for a card | which card: both relays that keep it |
//! | mailbox: until | time of the newest proven header, thirty days on, up to midnight UTC ([`Head::kept_until`]); of an Invitation one day | the day, and whether it is an Invitation's |
//! | register and boxes of a patient's devices: key, token | they follow from the words; opened by whoever restores a wallet, or asks for its devices | which of them are one person's: see the limits |
//! | mailbox: work | a number of ten minutes that the relay gave, random bytes, and what was found | nothing |
//! | collection | the relay's challenge, the names of both ends; no time of the wallet's | nothing |
//! | message | one of four lengths, where some series only are allowed perhaps the next one; deposited when its grant is final | which grant: see the limits |
//!
//! To whoever is shown an Invitation, or photographs it: its end, by the device's clock up to a whole minute.
//!
//! To the source alone: the time in a hello, the key that fetches, the transfer's address. Under the seal of a
//! letter: when it was written, by the device's clock; to its reader alone.
//!
//! # Limits, with their numbers
//!
//! The game that is played in this module's tests has days of 200 patients with two visits each, whose phones are off
//! by seconds to days. Whoever plays sees one transaction of somebody and two others of the same kind and source:
//! another study's of the same person, and somebody else's from about the same time. No byte, no four and no eight of
//! them in a row, taken as numbers, alone or less block time, tell which is which more often than a coin. But:
//!
//! - *When* something comes does. Beside somebody else's from any time of that day, the one of the same visit is the
//!   closer one in more than 99 of 100 cases: of definitions, since the studies of a visit are claimed all at once,
//!   while somebody waits at the desk; of grants too, since they are given one after another. They are not spread
//!   over hours where whoever is granted waits for that; else they can be (`patient/spread.rs`), and each comes at a
//!   moment of its own.
//! - Whoever ends everything at once, or all of one person's, shows that those grants are one patient's: an end waits
//!   for nothing, and is not spread.
//! - Whoever takes new words transfers all studies at once, and shows that they are one patient's: a thief is not
//!   waited for.
//! - *How long* somebody grants for is public to the day. Where seven of ten keep to one of five lengths, it tells
//!   the same visit's grant in 69 of 100 cases.
//! - *Which source* a study is of is public, and two studies of one source are one person's more often than two of
//!   different ones.
//! - A transaction whose submission broke off, and that is submitted on a later day, has the `submit_by` of the day
//!   on which it was signed.
//! - A wallet that is told an old header signs for the day of that header. It asks a relay that it chose by chance,
//!   and none that is behind what it knows. A revocation waits a second for it, and then tells the day that the
//!   wallet knew last.
//! - Where a patient has several devices, the two relays that keep their register and their boxes see keys that stay the
//!   same for as long as they are kept, from the addresses of all devices, within seconds of what one of them did: so
//!   they link what a patient of several devices picks up and grants. Who has one device has neither.
//! - To a relay that keeps a mailbox, the moment of a letter tells the grant that it is about: so it links the
//!   studies that were granted to one card.

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::action::{DefineStudy, Grant, RecoverStudy, Revoke, TransferStudy, Veto};
use clavicle_ledger::encoding::{Ascending, Bytes};
use clavicle_ledger::id::{ChainId, GrantId, ManifestRoot, RequestDigest, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::terms::{Conditions, PurposeOfUse, SeriesScope, Terms};
use clavicle_ledger::time::{BlockTime, DAY_MS, Timestamp};
use clavicle_ledger::transaction::{Action, Body};
use clavicle_manifest::Uid;

/// How long a transaction may come into a block after the header that it was signed on, at most; a day less at least.
/// In milliseconds.
const SUBMIT_WITHIN_MS: u64 = DAY_MS * 8;

/// What is proven of the time: the only time that strangers see of a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of the newest header that is believed.
    pub time: BlockTime,
    /// How far ahead of block time the network takes transactions, in milliseconds.
    pub window_ms: u64,
}

impl Head {
    /// Until when what is signed now may come into a block: a midnight, and so the same for everybody who signs on
    /// that day. Where the network takes nothing that far ahead the step is shorter.
    pub fn submit_by(self) -> Timestamp {
        let within = SUBMIT_WITHIN_MS.min(self.window_ms);
        let step = DAY_MS.min(within / 2).max(1);
        let last = self.time.timestamp().plus(within).0;
        Timestamp(last.saturating_sub(last % step))
    }

    /// Until when a mailbox is to be kept that is needed for so many days: a midnight.
    pub fn kept_until(self, days: u64) -> Timestamp {
        self.time.timestamp().plus(days.saturating_mul(DAY_MS)).day_rounded_up().start()
    }

    /// Whether something with this `submit_by` can still come into a block, as far as is known.
    pub fn is_before(self, submit_by: Timestamp) -> bool {
        self.time.timestamp() <= submit_by
    }
}

/// The definition of a study.
pub fn definition(head: Head, nonce: [u8; 16], study: DefineStudy) -> Body {
    Body { submit_by: head.submit_by(), nonce, action: Action::DefineStudy(study) }
}

/// What is to be granted.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GrantRequest {
    /// For how long, in milliseconds.
    pub for_ms: u64,
    /// What for.
    pub purpose: PurposeOfUse,
    /// Whether what later revisions bring is included.
    pub later_revisions: bool,
    /// For how long the grant stays good while the source cannot reach the ledger, in milliseconds.
    pub staleness_ms: u64,
    /// How long it is until it begins, in milliseconds: until then it can be ended before anything was fetched.
    pub begins_in_ms: u64,
    /// What else is asked of the recipient.
    pub conditions: Conditions,
    /// Which series; nothing is all of the study. An empty list is refused.
    pub series: Option<Vec<Uid>>,
}

impl GrantRequest {
    /// For so long from now on, all of the study, with what later revisions bring, while the source reaches the ledger, and nothing else
    /// is asked.
    #[must_use]
    pub const fn new(for_ms: u64, purpose: PurposeOfUse) -> Self {
        let conditions = Conditions { openings: None, view_only: false, members_of: None, data_use: Ascending::new() };
        Self { for_ms, purpose, later_revisions: true, staleness_ms: 0, begins_in_ms: 0, conditions, series: None }
    }
}

/// The Terms of a grant of all of a study in this edition. Where nothing else is asked, they are such as could always
/// be signed.
pub fn terms(
    head: Head,
    blinding: [u8; 32],
    (revision, manifest_root): (u32, ManifestRoot),
    request: &GrantRequest,
) -> Terms {
    let from = head.time.timestamp().plus(request.begins_in_ms);
    Terms {
        not_before: from,
        expires: from.plus(request.for_ms),
        series: SeriesScope::All,
        purpose: request.purpose,
        revision,
        manifest_root,
        later_revisions: request.later_revisions,
        staleness_ms: request.staleness_ms,
        emergency: false,
        note: Bytes::default(),
        blinding,
        conditions: (request.conditions != Conditions::default()).then(|| request.conditions.clone()),
    }
}

/// A grant by the holder of a study to one key.
pub fn grant(
    head: Head,
    nonce: [u8; 16],
    chain: &ChainId,
    (study, granter): (StudyId, Key),
    grantee: Key,
    terms: &Terms,
) -> Body {
    let action = Action::Grant(Grant {
        study,
        granter,
        grantee,
        expiry_day: terms.expires.day_rounded_up(),
        terms: terms.commitment(chain, study, &grantee),
        request: RequestDigest::NONE,
    });
    Body { submit_by: head.submit_by(), nonce, action }
}

/// A revocation by the holder of a study. Whoever knows until when the grant can come into a block says so: should
/// that be later than for what is signed now, by the clock of older software, it is what the revocation says.
pub fn revocation(
    head: Head,
    nonce: [u8; 16],
    (study, revoker): (StudyId, Key),
    grant: GrantId,
    known: Option<Timestamp>,
) -> Body {
    let submit_by = head.submit_by();
    let grant_submit_by = known.unwrap_or_default().max(submit_by);
    Body { submit_by, nonce, action: Action::Revoke(Revoke { study, revoker, grant, grant_submit_by }) }
}

/// The veto of a recovery, by the holder of a study.
pub fn veto(head: Head, nonce: [u8; 16], veto: Veto) -> Body {
    Body { submit_by: head.submit_by(), nonce, action: Action::Veto(veto) }
}

/// The transfer of a study from one key to another.
pub fn transfer(head: Head, nonce: [u8; 16], transfer: TransferStudy) -> Body {
    Body { submit_by: head.submit_by(), nonce, action: Action::TransferStudy(transfer) }
}

/// A step of the recovery of a study, to be signed by its source besides.
pub fn recovery(head: Head, nonce: [u8; 16], step: RecoverStudy) -> Body {
    Body { submit_by: head.submit_by(), nonce, action: Action::RecoverStudy(step) }
}

/// One of several, by chance; none of none. Of up to eight of them none is more likely than another by more than is
/// seen in a thousand years.
pub fn one_of<T: Copy>(all: &[T], random: [u8; 8]) -> Option<T> {
    let count = u64::try_from(all.len()).ok().filter(|count| *count > 0)?;
    all.get(usize::try_from(u64::from_le_bytes(random) % count).ok()?).copied()
}

#[cfg(test)]
mod game;

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 20_000 * DAY_MS + DAY_MS / 2;

    fn head(time: u64) -> Head {
        Head { time: BlockTime(Timestamp(time)), window_ms: DAY_MS * 30 }
    }

    #[test]
    fn everybody_who_signs_on_a_day_says_the_same_midnight_a_week_and_more_ahead() {
        let due = Timestamp(20_008 * DAY_MS);
        for time in [20_000 * DAY_MS, 20_000 * DAY_MS + 1, NOON, 20_001 * DAY_MS - 1] {
            assert_eq!(head(time).submit_by(), due);
            assert!(due.since(Timestamp(time)) > 7 * DAY_MS && due.since(Timestamp(time)) <= 8 * DAY_MS);
        }
        assert_eq!(head(20_001 * DAY_MS).submit_by(), due.plus(DAY_MS));
    }

    #[test]
    fn it_is_never_beyond_what_the_network_takes_nor_over_at_once() {
        for window_ms in [1, 2, 3, 1_000, DAY_MS, DAY_MS * 8 - 1, DAY_MS * 8, DAY_MS * 366] {
            for time in [0, 1, NOON, NOON + 12_345_678] {
                let by = Head { window_ms, ..head(time) }.submit_by().since(Timestamp(time));
                assert!(by <= window_ms && by >= window_ms.min(SUBMIT_WITHIN_MS) / 2, "{by} of {window_ms} at {time}");
            }
        }
    }

    #[test]
    fn a_mailbox_is_kept_up_to_the_midnight_after_its_days() {
        assert_eq!(head(NOON).kept_until(1), Timestamp(20_002 * DAY_MS));
        assert_eq!(head(20_000 * DAY_MS).kept_until(30), Timestamp(20_030 * DAY_MS));
        assert!(head(NOON).kept_until(30).since(Timestamp(NOON)) <= 31 * DAY_MS);
    }
}
