//! What a wallet keeps in its vault, row by row.

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_directory::Directory;
use clavicle_ledger::encoding::{Ascending, Text, Wire};
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{BlockId, ChainId, GrantId, ManifestRoot, ReceiptDigest, SourceId, StudyId};
use clavicle_ledger::key::{Key, SecretKey, Signature};
use clavicle_ledger::light::{Checkpoint, Identities, LightClient};
use clavicle_ledger::receipt::{SignedReceipt, Tip};
use clavicle_ledger::salt::Salt;
use clavicle_ledger::study::Study;
use clavicle_ledger::terms::Terms;
use clavicle_ledger::time::{BlockTime, Height, Timestamp};
use clavicle_ledger::transaction::{Body, Envelope, MAX_ENVELOPE_LEN};
use clavicle_letters::about::About;
use clavicle_letters::card::{MAX_CARD_RELAYS, MAX_GRANTEES, SignedCard, TOLERANCE_MS};
use clavicle_letters::circumstances::Circumstances;
use clavicle_letters::credential::{Credential, Introduction, Issuer, SignedCredential};
use clavicle_letters::identity::{Identity, Recipient};
use clavicle_letters::invitation::{Answer, CheckedAnswer, SignedInvitation};
use clavicle_letters::letter::Notice;
use clavicle_letters::mailbox::{MAX_SEALED_LEN, Mailbox};
use clavicle_letters::news::Here;
use clavicle_letters::organisation::NewsPlace;
use clavicle_letters::pickup::PickupCode;
use clavicle_letters::transcript::{InvitationId, Nonce};
use clavicle_letters::verdict::{Unverified, Verdict};
use clavicle_letters::words::{Comparison, FourWords};
use clavicle_manifest::{Date, MAX_SERIES, Manifest, StoredDigest, Uid};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::caps::Caps;
use crate::scope::SeriesTold;
use crate::vault::Row;

/// Whose wallet it is: what all its keys come from. One row.
#[derive(Clone, Zeroize, ZeroizeOnDrop, BorshSerialize, BorshDeserialize)]
pub struct Profile {
    /// The entropy of the 24 words.
    pub entropy: [u8; 32],
    /// The number of this device: its keys are its own.
    pub device: u32,
    /// The next study's key.
    pub next_study: u32,
    /// The next card's first key.
    pub next_card: u32,
    /// The next mailbox's key.
    pub next_mailbox: u32,
    /// The name that cards carry; empty for a patient.
    pub name: Vec<u8>,
}

/// Whether the words were shown to be written down. One row; without it they were not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WordsCheck {
    /// The places of the words that are asked for, counted from 1.
    pub asked: [u8; 3],
    /// Whether they were told.
    pub passed: bool,
}

/// Words that were given up, since somebody else may have them. By their number, high byte first.
#[derive(Clone, Zeroize, ZeroizeOnDrop, BorshSerialize, BorshDeserialize)]
pub struct FormerWords {
    /// Their entropy.
    pub entropy: [u8; 32],
}

/// That a study is, or was claimed, under words that were given up. By the study's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct UnderFormer {
    /// Which.
    pub words: u32,
}

/// Words that were shown, and are not in use yet. One row.
#[derive(Clone, Zeroize, ZeroizeOnDrop, BorshSerialize, BorshDeserialize)]
pub struct NextWords {
    /// Their entropy.
    pub entropy: [u8; 32],
    /// The places of the three that are asked for.
    pub asked: [u8; 3],
}

/// A study on its way to a key of other words. By the study's id.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Moving {
    /// The number of those words.
    pub words: u32,
    /// The device whose key is to hold it.
    pub device: u32,
    /// The number of that key.
    pub holder: u32,
    /// The signed transfer.
    pub envelope: Envelope,
}

/// That the ledger knows keys of this wallet which it does not know itself: it is an older copy, or there is another
/// with its number. One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OlderCopy {
    /// When that was found.
    pub at: Timestamp,
}

/// The network. One row.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Network {
    /// What it starts from.
    pub genesis: Genesis,
}

/// A pickup that was begun. By the hash of its ticket.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct Begun {
    /// The code.
    pub code: PickupCode,
    /// The seed of the key that the wallet comes with for this code, each time.
    pub seed: [u8; 32],
    /// How often the wallet has shown a source that it knows the answer since one has last shown the same.
    pub runs: u8,
}

/// What a person wants to know of a study.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Summary {
    /// Study Instance UID.
    pub study_instance_uid: Uid,
    /// Study Date.
    pub date: Option<Date>,
    /// Study Description.
    pub description: Text<256>,
    /// The modalities in it.
    pub modalities: Text<64>,
    /// Series.
    pub series: u32,
    /// Instances.
    pub instances: u32,
    /// Bytes.
    pub bytes: u64,
}

/// What a study is.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct Known {
    /// Its salt.
    pub salt: Salt,
    /// What a person wants to know of it.
    pub summary: Summary,
}

/// A study that the patient holds, or is about to. By its id.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct Held {
    /// Its source.
    pub source: SourceId,
    /// The device whose key holds it: of a wallet that was restored, an earlier one.
    pub device: u32,
    /// The number of that key.
    pub holder: u32,
    /// What it is, as its source tells who holds it; none where a study was found on the ledger and its source could not be asked yet.
    pub known: Option<Known>,
    /// The definition, without signatures; none when another device claimed it.
    pub claim: Option<Body>,
    /// The height at which it became final, or was found to be, if it has.
    pub final_at: Option<Height>,
}

/// A grant that the patient made. By its id.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct Made {
    /// On which study.
    pub study: StudyId,
    /// To whom, as they said, and what stood beside it.
    pub card: KeptCard,
    /// To which of the card's keys.
    pub grantee: Key,
    /// On which terms.
    pub terms: Terms,
    /// The signed transaction.
    pub envelope: Envelope,
    /// When it was signed.
    pub at: Timestamp,
    /// How far it is.
    pub stage: Stage,
}

/// A grant that the hospitals refused. By its id. They have seen the key that it was to: it is kept for this study, so that it never stands on two.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct RefusedGrant {
    /// The grant.
    pub made: Made,
}

/// A claim that the hospital refused. By the study's id. Should it come into a block all the same, the next pickup goes on with it.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct RefusedClaim {
    /// What would be kept of the study.
    pub held: Held,
}

/// A veto that was signed. By the id of the transaction that asked for the recovery.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Vetoed {
    /// On which study.
    pub study: StudyId,
    /// The signed veto.
    pub envelope: Envelope,
    /// The height at which it became final, if it has.
    pub final_at: Option<Height>,
}

/// A study that a hospital is giving to this wallet, whose key was lost. By the study's id.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct Recovering {
    /// Its source.
    pub source: SourceId,
    /// The number of the words of the key that is to hold it.
    pub words: u32,
    /// The device whose key is to hold it.
    pub device: u32,
    /// The number of that key.
    pub holder: u32,
    /// What it is.
    pub known: Known,
    /// The transaction that asks for it, without signatures.
    pub asks: Body,
    /// The height at which that became final, if it has.
    pub asked_at: Option<Height>,
    /// The transaction that completes it, once its time has come.
    pub completes: Option<Body>,
}

/// That a study, whose key was lost, was given back to this wallet: what was allowed on it before has ended. By the study's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WasGivenBack {
    /// As of which height.
    pub at: Height,
}

/// When the ledger was last asked about every study. One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Looked {
    /// By this device's clock.
    pub at: Timestamp,
}

/// A card with all that its short form leaves out. It lies as cards of the first version did, so that those are read.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct KeptCard {
    /// The network.
    pub chain: ChainId,
    /// As the recipient calls itself.
    pub name: Text<64>,
    /// Whose it is, and who vouched for that.
    pub shown_by: ShownBy,
    /// Keys to fetch with.
    pub grantees: Ascending<Key, MAX_GRANTEES>,
    /// Where messages are left.
    pub mailbox: Mailbox,
    /// Whom they are sealed to.
    pub recipient: Recipient,
    /// What is asked for, in the recipient's words.
    pub wish: Text<128>,
    /// A block that cards of the first version named.
    pub checkpoint: Checkpoint,
    /// Until when the card is good.
    pub expires: Timestamp,
    /// The card's signature, by which it is known again.
    pub signature: Signature,
}

/// Whose a card is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum ShownBy {
    /// Cards of the first version do not say.
    Somebody = 0,
    /// Whoever has a long-term key.
    Person {
        /// The key.
        key: Key,
        /// What stood beside the name when the card was looked at.
        verdict: Verdict,
    } = 1,
}

impl KeptCard {
    /// A card whose mailbox is kept by these sources, with what was to be said of it.
    #[must_use]
    pub fn of(
        chain: ChainId,
        shown: &SignedCard,
        relays: Ascending<SourceId, MAX_CARD_RELAYS>,
        verdict: Verdict,
    ) -> Self {
        let SignedCard { card, signature } = shown;
        Self {
            chain,
            name: card.name.clone(),
            shown_by: ShownBy::Person { key: card.person, verdict },
            grantees: card.grantees.clone(),
            mailbox: card.mailbox(relays),
            recipient: card.recipient,
            wish: card.wish.clone(),
            checkpoint: Checkpoint { height: 0, block: BlockId::from_bytes([0; 32]) },
            expires: card.expires.timestamp(),
            signature: *signature,
        }
    }

    /// The long-term key of whoever showed it.
    #[must_use]
    pub const fn person(&self) -> Option<&Key> {
        match &self.shown_by {
            ShownBy::Somebody => None,
            ShownBy::Person { key, .. } => Some(key),
        }
    }

    /// What stood beside the name when the card was looked at.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match &self.shown_by {
            ShownBy::Somebody => Verdict::Unverified(Unverified::Nobody),
            ShownBy::Person { verdict, .. } => verdict.clone(),
        }
    }
}

/// Who was asked to vouch for this recipient, and the word that was given. One row.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OwnCredential {
    /// Who was asked.
    pub of: Issuer,
    /// What they gave, with the newest list.
    pub introduction: Option<Introduction>,
}

/// Where the practice or the team leaves its newest lists that vouches for this recipient. One row.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NewsOf {
    /// Where.
    pub place: NewsPlace,
}

/// Somebody for whom this practice or team vouches, or did. By the credential's number, its high byte first.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Member {
    /// The word, which is signed when it is needed.
    pub credential: Credential,
    /// When it was ended, if it was.
    pub ended: Option<Timestamp>,
}

/// What a practice or a team keeps of itself. One row.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Organisation {
    /// When its record began: whatever is older has ended.
    pub began: Timestamp,
    /// The number of its newest list.
    pub lists: u64,
    /// Where its newest lists are left, once that is anywhere.
    pub news: Option<NewsPlace>,
    /// Until when they are kept there.
    pub kept_until: Timestamp,
    /// When they were last left.
    pub left: Option<Timestamp>,
}

/// When what introduces this recipient was last left for whoever has a card. By the key of the card's mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct IntroductionLeft {
    /// When.
    pub at: Timestamp,
}

/// How far a grant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Stage {
    /// Signed, perhaps submitted.
    Signed,
    /// Final at this height.
    Final(Height),
    /// Final, and its letter is in the recipient's mailbox.
    Delivered(Height),
}

/// A grant that was revoked, by whichever wallet it was made. By its id.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Revoked {
    /// The signed revocation.
    pub envelope: Envelope,
    /// The height at which it became final, if it has.
    pub final_at: Option<Height>,
}

/// A card that was shown. By the mailbox's key.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct Shown {
    /// The card.
    pub card: KeptCard,
    /// The numbers of its grantee keys.
    pub grantees: Ascending<Numbered, MAX_GRANTEES>,
    /// The number of its mailbox's key.
    pub mailbox: u32,
    /// What opens letters to it.
    pub identity: Identity,
    /// Until when its mailbox is kept.
    pub kept_until: Timestamp,
    /// Whether something was fetched with its keys: then its mailbox is kept for longer than the card is good for.
    pub has_copy: bool,
}

/// A card that another wallet of the same words showed, and whose mailbox relays still keep. By the mailbox's key.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CardFound {
    /// The number of the device that showed it.
    pub device: u32,
    /// The number of its mailbox's key.
    pub mailbox: u32,
    /// The number of the first card's key on that device.
    pub first_card: u32,
    /// The number of the first mailbox on that device.
    pub first_mailbox: u32,
    /// The sources whose relays keep it.
    pub relays: Ascending<SourceId, MAX_CARD_RELAYS>,
    /// Until when it is known to be kept.
    pub kept_until: Timestamp,
}

/// That something was granted to a card that was found again. By the grant's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OfCardFound {
    /// The number of the device that showed it: the number of the key that was granted to is one of its.
    pub device: u32,
    /// The card's mailbox.
    pub mailbox: Key,
}

/// How an Invitation is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Way {
    /// To somebody who is there.
    FaceToFace,
    /// By a link, with the words over the telephone.
    FromAfar,
}

/// How far an Invitation is that a patient showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum InvitedStage {
    /// Nobody has answered.
    Shown,
    /// Somebody has: this side is bound to that answer.
    Answered,
    /// And was told the nonce: the other screen shows the words, or will.
    Opened,
    /// The patient has picked the right words.
    Picked,
    /// Something was granted by it.
    Granted,
    /// Nothing is granted by it any more.
    Void(Voided),
}

/// Why an Invitation is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Voided {
    /// Two have answered it.
    SecondAnswer,
    /// The patient picked other words.
    WordsDiffer,
}

/// An answer that an Invitation is bound to.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct Accepted {
    /// What it says.
    pub answer: Answer,
    /// That it holds together.
    pub checked: CheckedAnswer,
}

/// An Invitation that a patient showed. By its id.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct Invited {
    /// The Invitation.
    pub invitation: SignedInvitation,
    /// What it commits to.
    pub nonce: Nonce,
    /// The seed of its mailbox's key.
    pub seed: [u8; 32],
    /// What opens answers to it.
    pub identity: Identity,
    /// How it is shown.
    pub way: Way,
    /// When it was made.
    pub at: Timestamp,
    /// The answer that it is bound to.
    pub accepted: Option<Accepted>,
    /// What stands beside the name of whoever answered, once it was looked up.
    pub verdict: Option<Verdict>,
    /// How far it is.
    pub stage: InvitedStage,
}

impl Invited {
    /// What it is known by.
    #[must_use]
    pub fn id(&self) -> InvitationId {
        self.invitation.invitation.id()
    }

    /// The card of whoever answered.
    #[must_use]
    pub fn card(&self) -> Option<&SignedCard> {
        self.accepted.as_ref().map(|accepted| &accepted.answer.card)
    }

    /// What the patient compares, once somebody has answered and was told the nonce.
    #[must_use]
    pub fn comparison(&self) -> Option<Comparison> {
        let accepted = self.accepted.as_ref().filter(|_| self.stage != InvitedStage::Answered)?;
        Some(accepted.checked.compare(&self.invitation.invitation.chain, &self.nonce))
    }

    /// Whether it can be answered no more.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now > self.invitation.invitation.expires.plus(TOLERANCE_MS)
    }
}

/// How far an answer to an Invitation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum AnswerStage {
    /// Made, perhaps sent.
    Made,
    /// In the Invitation's mailbox.
    Sent,
    /// The patient's device has taken it: these are the words.
    Opened(FourWords),
}

/// An Invitation that a recipient answered. By its id.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct AnswerMade {
    /// The Invitation.
    pub invitation: SignedInvitation,
    /// The answer.
    pub answer: Answer,
    /// When it was made.
    pub at: Timestamp,
    /// How far it is.
    pub stage: AnswerStage,
}

impl AnswerMade {
    /// What the Invitation is known by.
    #[must_use]
    pub fn id(&self) -> InvitationId {
        self.answer.invitation
    }

    /// The words, once they are known.
    #[must_use]
    pub const fn words(&self) -> Option<FourWords> {
        match self.stage {
            AnswerStage::Opened(words) => Some(words),
            AnswerStage::Made | AnswerStage::Sent => None,
        }
    }
}

/// A notice of what became of a study, signed by its source. By the study's id.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Noticed {
    /// What it says.
    pub notice: Notice,
    /// The key that signed it.
    pub from: Key,
    /// When it was signed, by the sender's clock.
    pub sent: Timestamp,
}

/// That the source of a study says that the wrong person had it, and that its images are another study by now. By the study's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ReissuedAs {
    /// The source.
    pub source: SourceId,
    /// Which copy was made: the root of the manifest that it is of.
    pub copy: ManifestRoot,
    /// The key that signed it.
    pub from: Key,
    /// When it was signed, by the sender's clock.
    pub sent: Timestamp,
}

/// This device, as it says in the register of devices that it is there. One row, once it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OwnDevice {
    /// What it says.
    pub here: Here,
    /// Until when its box is kept.
    pub box_until: Timestamp,
    /// Until when the register is.
    pub register_until: Timestamp,
    /// Whether another device has ended it.
    pub is_ended: bool,
}

/// A device of the same words. By its number, high byte first.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Device {
    /// What a person calls it; empty until it is named.
    pub name: Text<64>,
    /// Since when it is there, by its own word.
    pub since: Timestamp,
    /// Whether it was ended.
    pub is_ended: bool,
}

/// That a device was told something, or told it. By its number, high byte first, and a hash of what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ToldDevice {}

/// That other devices are not told of a study. By its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OnlyHere {}

/// A letter of another device, until it is done what it says. By its hash.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NewsCame {
    /// As it came.
    pub sealed: Vec<u8>,
}

/// The most keys that belong to one card, with those that were left beside it.
pub const MAX_MORE_KEYS: usize = 64;

/// Keys that were left beside a card, since those on it were nearly used up. By the card's mailbox.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct MoreKeys {
    /// All of them.
    pub grantees: Vec<Numbered>,
    /// What was left last.
    pub card: SignedCard,
    /// Whether a relay has it.
    pub is_left: bool,
}

/// A letter of a kind that came with a later version. By the hash of its bytes, which are kept for that to read.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct Unreadable {
    /// Of which kind.
    pub kind: u8,
    /// When it came.
    pub at: Timestamp,
    /// As it came.
    pub sealed: Vec<u8>,
}

/// A key, and its number in the wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Numbered {
    /// The key.
    pub key: Key,
    /// Its number.
    pub number: u32,
}

impl clavicle_ledger::encoding::Entry for Numbered {
    type Key = Key;
    fn key(&self) -> &Key {
        &self.key
    }
}

/// A grant that was received. By its id.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct Received {
    /// On which study.
    pub study: StudyId,
    /// Where the study is.
    pub source: SourceId,
    /// Its salt.
    pub salt: Salt,
    /// Study Instance UID.
    pub study_instance_uid: Uid,
    /// What the granter calls it.
    pub description: Text<256>,
    /// Which grant.
    pub grant: GrantId,
    /// The number of the key that it was granted to.
    pub grantee: u32,
    /// On which terms.
    pub terms: Terms,
    /// The height at which it became final, by the granter's word.
    pub final_at: Height,
    /// When it came.
    pub at: Timestamp,
}

/// A study whose images are on this disk, sealed.
#[derive(Clone, Zeroize, ZeroizeOnDrop, BorshSerialize, BorshDeserialize)]
pub struct Cached {
    /// Its folder's name: random, so that it tells nothing.
    pub folder: [u8; 16],
    /// What they are sealed with.
    pub key: [u8; 32],
    /// What there is, once a fetch has come to its end.
    #[zeroize(skip)]
    pub fetched: Option<Fetched>,
}

/// What was fetched of a study.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Fetched {
    /// What the source offered, as it lies in the pack.
    pub offer: StoredDigest,
    /// Its bytes.
    pub offer_size: u64,
}

/// A copy of a study that was made, wherever it is now. By the study's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CopyOf {
    /// The revision it is of.
    pub revision: u32,
    /// The root of its manifest.
    pub root: ManifestRoot,
    /// When it was made.
    pub at: Timestamp,
}

/// The newest opening of a study with a grant that was received, as its source counted it. By the grant's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OpeningOf {
    /// The receipt with which it began.
    pub receipt: ReceiptDigest,
    /// Which opening it is: the first is 1.
    pub number: u32,
    /// Whether all that was wanted came. Else it is gone on with, which is none more.
    pub is_finished: bool,
    /// When it began, by the source's clock.
    pub at: Timestamp,
}

/// A study as the ledger last proved it, to be held against copies of it. By the study's id.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Proved {
    /// Its record.
    pub record: Study,
    /// The height of the block that it was proven against.
    pub height: Height,
    /// That block's time.
    pub time: BlockTime,
}

/// That somebody used a copy in spite of something. By the study's id, the time, high byte first, and eight random bytes.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct InSpiteOf {
    /// Of which study.
    pub study: StudyId,
    /// What was done.
    pub what: Text<512>,
    /// In spite of what.
    pub why: Text<512>,
    /// When.
    pub at: Timestamp,
}

/// That the source has seen the revocation of a grant that the patient made. By the grant's id.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Bound {
    /// The source's receipt.
    pub receipt: SignedReceipt,
}

/// A receipt of a study that the patient holds. By the study's id and its sequence, high byte first.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct KeptReceipt {
    /// The receipt.
    pub receipt: SignedReceipt,
    /// The height at which it is known to be anchored.
    pub anchored_at: Option<Height>,
}

impl Summary {
    /// Of a manifest.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let (header, counts) = (manifest.header(), manifest.counts());
        let mut modalities: Vec<&str> = manifest.series().iter().map(|series| series.modality.as_str()).collect();
        modalities.sort_unstable();
        modalities.dedup();
        let mut modalities = modalities.join(" ");
        // What does not fit a line is not worth keeping; every modality that DICOM defines is a few letters of ASCII. A source may write others.
        modalities.truncate(modalities.floor_char_boundary(60));
        Self {
            study_instance_uid: header.study_instance_uid,
            date: header.study_date,
            description: header.description.clone(),
            modalities: Text::new(&modalities).unwrap_or_default(),
            series: u32::try_from(counts.series).unwrap_or(u32::MAX),
            instances: u32::try_from(counts.instances).unwrap_or(u32::MAX),
            bytes: counts.bytes,
        }
    }
}

impl Begun {
    /// The key that the wallet comes with.
    #[must_use]
    pub fn key(&self) -> SecretKey {
        SecretKey::from_bytes(&self.seed)
    }
}

macro_rules! rows {
    ($($type:ty, $kind:literal, $name:literal, $len:expr;)*) => {$(
        impl Wire for $type {
            const NAME: &'static str = $name;
            const MAX_LEN: usize = $len;
        }

        impl Row for $type {
            const KIND: &'static str = $kind;
        }
    )*};
}

rows! {
    Profile, "profile", "a wallet's profile", 256;
    FormerWords, "words-former", "words that were given up", 32;
    UnderFormer, "under-former", "that a study is under former words", 4;
    NextWords, "words-next", "words that are not in use yet", 35;
    Moving, "moving", "a study that moves", MAX_ENVELOPE_LEN + 16;
    OlderCopy, "older-copy", "that a wallet is an older copy", 8;
    WordsCheck, "words-check", "a check of a wallet's words", 4;
    Network, "network", "a wallet's network", Genesis::MAX_LEN;
    Begun, "pickup-2", "a pickup that was begun", PickupCode::MAX_LEN + 33;
    Held, "study", "a study that is held", MAX_ENVELOPE_LEN + 1024;
    Made, "made", "a grant that was made", 4 * MAX_ENVELOPE_LEN;
    RefusedGrant, "grant-refused", "a grant that was refused", 4 * MAX_ENVELOPE_LEN;
    RefusedClaim, "claim-refused", "a claim that was refused", MAX_ENVELOPE_LEN + 1024;
    Vetoed, "vetoed", "a veto", MAX_ENVELOPE_LEN + 64;
    Recovering, "recovering", "a study that is given back", 2 * MAX_ENVELOPE_LEN + 1024;
    WasGivenBack, "given-back", "that a study was given back", 8;
    Looked, "looked", "when the ledger was last asked", 8;
    Revoked, "revoked", "a grant that was revoked", MAX_ENVELOPE_LEN + 9;
    Shown, "card", "a card that was shown", 4 * 1024;
    CardFound, "card-found", "a card that was found again", 16 + 4 + 32 * MAX_CARD_RELAYS + 8;
    OfCardFound, "of-card-found", "a grant to a card that was found again", 4 + Key::MAX_LEN;
    MoreKeys, "card-more", "keys that were left beside a card", 4 + MAX_MORE_KEYS * 37 + SignedCard::MAX_LEN + 1;
    Unreadable, "unreadable", "a letter that cannot be read", 1 + 8 + 4 + MAX_SEALED_LEN;
    Invited, "invited-2", "an invitation that was shown", SignedInvitation::MAX_LEN + SignedCard::MAX_LEN + 2 * 1024;
    AnswerMade, "answer", "an invitation that was answered", SignedInvitation::MAX_LEN + SignedCard::MAX_LEN + 512;
    CopyOf, "copy", "a copy that was made", 64;
    Caps, "caps", "how soon and how often a wallet grants", 64;
    OpeningOf, "opening", "an opening of a study", 32 + 4 + 1 + 8;
    Proved, "proved", "a study as it was proven", Study::MAX_LEN + 16;
    InSpiteOf, "in_spite_of", "a copy's use in spite of something", 32 + 2 * (4 + 512) + 8;
    Cached, "cached", "a study that was fetched", 256;
    Bound, "bound", "a receipt for a revocation", SignedReceipt::MAX_LEN;
    KeptReceipt, "receipt", "a kept receipt", SignedReceipt::MAX_LEN + 9;
    Noticed, "notice", "a source's notice", 512;
    ReissuedAs, "reissued", "that a study was reissued", 2 * 32 + Key::MAX_LEN + 8;
    OwnDevice, "device-own", "what this device says of itself", 8 + 16 + 8 + 16 + 1;
    Device, "device", "a device of the same words", 4 + 64 + 8 + 1;
    ToldDevice, "told", "that a device was told something", 0;
    OnlyHere, "only-here", "that other devices are not told of a study", 0;
    NewsCame, "news", "a letter of another device", 4 + MAX_SEALED_LEN;
    Received, "received", "a grant that was received", 8 * 1024;
    SeriesTold, "series", "the series of a study", 64 + MAX_SERIES * (1 + 64 + 5 + 4 + 16 + 4 + 256 + 4);
    OwnCredential, "credential", "who vouches for this wallet", 64 + Introduction::MAX_LEN;
    IntroductionLeft, "introduction-left", "when an introduction was left", 8;
    NewsOf, "news-of", "where a practice's or a team's news are", 256;
    Member, "member", "a member of a practice or a team", SignedCredential::MAX_LEN + 9;
    Organisation, "organisation", "what a practice or a team keeps", 512;
}

/// Who a study is about. By the study's id, as its source told at the pickup; of what was granted by the grant's id, as the granter told: anybody can
/// write a letter about a study.
impl Row for About {
    const KIND: &'static str = "about";
}

/// What else is told of a grant, by the grant's id: of one that was made without whom it is about, and of one that was received likewise.
impl Row for Circumstances {
    const KIND: &'static str = "circumstances";
}

impl Row for Tip {
    const KIND: &'static str = "tip";
}

impl Row for LightClient {
    const KIND: &'static str = "light";
}

impl Row for Identities {
    const KIND: &'static str = "identities";
}

impl Row for Directory {
    const KIND: &'static str = "directory";
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use clavicle_manifest::{Header, Instance, Nonce, Series};

    use super::*;

    #[test]
    fn a_modality_that_is_not_ascii_is_summed_up_like_any_other() {
        let uid = |text: &str| Uid::new(text).unwrap();
        let series = |number: usize, modality: &str| Series {
            series_instance_uid: uid(&format!("1.2.{number}")),
            modality: Text::new(modality).unwrap(),
            number: None,
            body_part: Text::default(),
            description: Text::default(),
            instances: Ascending::from_items(vec![Instance {
                sop_instance_uid: uid(&format!("1.2.{number}.1")),
                sop_class_uid: uid("1.2.840.10008.5.1.4.1.1.4"),
                transfer_syntax_uid: uid("1.2.840.10008.1.2.1"),
                size: 1,
                stored: StoredDigest::of(&[1]),
                dataset: None,
                pixels: None,
                frames: 1,
            }])
            .unwrap(),
        };
        let source = SourceId::from_bytes([1; 32]);
        let header = Header {
            study: StudyId::from_bytes([2; 32]),
            source,
            study_instance_uid: uid("1.2"),
            revision: 0,
            predecessor: None,
            open: false,
            study_date: None,
            description: Text::default(),
        };
        let of = |modalities: &[&str]| {
            let all = modalities.iter().enumerate().map(|(at, modality)| series(at, modality)).collect();
            let all = Ascending::from_items(all).unwrap();
            let manifest = Manifest::new(header.clone(), Nonce::from_bytes([7; 32]), all, Ascending::new());
            Summary::of(&manifest.unwrap()).modalities.as_str().to_owned()
        };
        assert_eq!(of(&["山"]), "山");
        assert_eq!(of(&["MR", "CT", "MR"]), "CT MR");
        // As long as a source's word can be, and no letter of it is cut in two.
        let long = ["山山山山山", "川川川川川", "田田田田田", "本本本本本"];
        assert!(of(&long).len() <= 60 && long.iter().any(|word| of(&long).starts_with(word)));
    }
}
