//! Picking up: the studies behind a hospital's code become the patient's.

use clavicle_ledger::action::DefineStudy;
use clavicle_ledger::derivation::Branch;
use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::id::{ManifestRoot, SourceId, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::source::Source;
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::transaction::{Action, Body, Envelope};
use clavicle_letters::about::About;
use clavicle_letters::pickup::PickupCode;
use clavicle_network::endpoint::bind_towards;
use clavicle_network::message::Included;
use clavicle_network::pickup::{
    self, Claim, Claimed, MAX_OFFERS, NotOffered, Offered, Opened, PickupError, PickupId, Secret, TicketHash,
};
use iroh::Endpoint;
use tracing::debug;
use zeroize::Zeroizing;

use super::{OwnStudy, Patient};
use crate::envelope;
use crate::error::{MAX_RUNS, WalletError};
use crate::rows::{Begun, Held, Known, OnlyHere, RefusedClaim, Summary, UnderFormer};
use crate::scope::SeriesTold;
use crate::vault::VaultError;
use crate::wallet::{Wallet, random, served_at, source_in};

/// What became of a visit.
#[derive(Clone)]
pub struct PickupOutcome {
    /// The studies that were offered.
    pub studies: Vec<PickedUp>,
    /// Of the others, why they were not.
    pub not_offered: Vec<NotOffered>,
    /// Whether there may be still more of which nothing was said.
    pub has_more: bool,
}

/// How often in a row a wallet comes with one code, for the rest of a visit that has more studies than one run takes.
pub(super) const MAX_VISITS: usize = 32;

impl PickupOutcome {
    /// Adds what became of it when the wallet came once more. Whether it is to come again.
    fn add(&mut self, came: Self) -> bool {
        let mut is_further = false;
        for study in came.studies {
            match self.studies.iter_mut().find(|before| before.study.id == study.study.id) {
                Some(before) if before.failed.is_some() => {
                    is_further |= study.failed.is_none();
                    *before = study;
                }
                Some(_) => {}
                None => {
                    is_further = true;
                    self.studies.push(study);
                }
            }
        }
        (self.not_offered, self.has_more) = (came.not_offered, came.has_more);
        if self.has_more && is_further {
            return true;
        }
        // Whoever is offered nothing new has been offered all, unless what failed is in the way.
        let has_failed = self.studies.iter().any(|study| study.failed.is_some());
        self.has_more = self.not_offered.len() >= MAX_OFFERS || self.has_more && has_failed;
        false
    }
}

/// What became of an offered study.
#[derive(Clone)]
pub struct PickedUp {
    /// The study.
    pub study: OwnStudy,
    /// Whether it was the patient's already.
    pub before: bool,
    /// Why it is not the patient's, in the source's words.
    pub failed: Option<String>,
}

impl Patient {
    /// Takes hold of the studies behind a pickup code, and returns when they are final. The ledger says where the hospital is reached, and by which
    /// key; a code that says otherwise is refused before anything is sent.
    ///
    /// # Errors
    /// [`WalletError`]; the same code goes on where it stopped.
    pub async fn pick_up(&mut self, code: &PickupCode, answer: &str) -> Result<PickupOutcome, WalletError> {
        self.only_here = self.wallet.vault.get::<OnlyHere>(&place(code))?.is_some();
        let mut all = PickupOutcome { studies: Vec::new(), not_offered: Vec::new(), has_more: true };
        for _ in 0..MAX_VISITS {
            let came = match self.visit(code, answer).await {
                Ok(came) => came,
                // What is the patient's by now is said, and that there may be more.
                Err(error) if !all.studies.is_empty() && !matches!(error, WalletError::Vault(_)) => {
                    debug!(%error, "the rest of a visit is not fetched");
                    break;
                }
                Err(error) => return Err(error),
            };
            if !all.add(came) {
                break;
            }
        }
        if let (true, Some(why)) = (all.studies.is_empty(), all.not_offered.first()) {
            return Err(WalletError::NotOffered(*why));
        }
        match all.studies.iter().find_map(|study| study.failed.clone()) {
            Some(why) if all.studies.iter().all(|study| study.failed.is_some()) => Err(WalletError::NotClaimed(why)),
            _ => Ok(all),
        }
    }

    /// Comes to the hospital of a code once.
    async fn visit(&mut self, code: &PickupCode, answer: &str) -> Result<PickupOutcome, WalletError> {
        let (operational, endpoint, opened) = self.open_visit(code, answer).await?;
        self.take_hold(code.source, operational, &endpoint, opened).await
    }

    /// Comes to the hospital of a code, and has each side show the other that it knows the answer. The hospital's
    /// operational key, and what it offers.
    pub(super) async fn open_visit(
        &mut self,
        code: &PickupCode,
        answer: &str,
    ) -> Result<(Key, Endpoint, Opened), WalletError> {
        let now = self.wallet.now();
        if code.chain != self.wallet.chain() {
            return Err(WalletError::OtherNetwork);
        }
        if now > code.expires {
            return Err(WalletError::Expired);
        }
        // The hospital has handed the code over: its word is good for a block, should there be nothing else to go on from.
        self.wallet.renew(&code.checkpoint).await?;
        let proven = self.wallet.rows(&[StateKey::Head, StateKey::Source(code.source)]).await?;
        let (source, operational) = source_in(&proven, code.source)?;
        if !says_as_the_ledger(code, &source) {
            return Err(WalletError::OtherPlace);
        }
        let remote = served_at(&proven, &source)?;
        let to = *remote.addresses.first().ok_or(WalletError::NoSource)?;
        let mut begun = self.begin(code)?;
        if begun.runs >= MAX_RUNS {
            return Err(WalletError::TriedTooOften);
        }
        let (ticket, question, given) = (code.ticket.clone(), code.question, Zeroizing::new(answer.to_owned()));
        let secret = tokio::task::spawn_blocking(move || Secret::of(&ticket, question, &given));
        let secret = secret.await.map_err(|_| WalletError::Defect)?;
        let endpoint = bind_towards(&begun.key(), to).await?;
        let id = PickupId { chain: code.chain, source: code.source, ticket: TicketHash::of(&code.ticket) };
        let met = pickup::meet(&endpoint, &remote, &id, &secret).await?;
        // What is shown next is a guess to a source that does not know the answer: counted first, whatever becomes of it.
        begun.runs += 1;
        self.keep_begun(&begun)?;
        let opened = match met.prove().await {
            Err(PickupError::NotProven) => {
                // No hospital that gave out this code would have said yes and not known it.
                begun.runs = MAX_RUNS;
                self.keep_begun(&begun)?;
                return Err(PickupError::NotProven.into());
            }
            opened => opened?,
        };
        begun.runs = 0;
        self.keep_begun(&begun)?;
        Ok((operational, endpoint, opened))
    }

    /// Claims what is offered, and returns when it is final.
    async fn take_hold(
        &mut self,
        source: SourceId,
        operational: Key,
        endpoint: &Endpoint,
        opened: Opened,
    ) -> Result<PickupOutcome, WalletError> {
        let (not_offered, has_more) = (opened.not_offered().to_vec(), opened.is_full());
        // All of them before any is kept: a hospital that is not to be believed in one is not in the others.
        let mut roots = Vec::new();
        for offer in opened.offers() {
            roots.push(self.verify_offer(source, &operational, offer)?);
        }
        self.pass_used_keys(opened.offers().len()).await?;
        for offer in opened.offers() {
            self.take_up_refused_claim(offer.manifest.manifest.header().study)?;
            self.give_up_late_claim(offer.manifest.manifest.header().study).await?;
        }
        let mut studies = Vec::new();
        for (offer, root) in opened.offers().iter().zip(roots) {
            studies.push(self.consider(source, &operational, offer, root)?);
        }
        let about: Vec<About> = opened.offers().iter().map(|offer| offer.about.clone()).collect();
        let claims = studies.iter().filter_map(|study| self.claim_of(&study.study).transpose());
        let claims = claims.collect::<Result<_, _>>()?;
        let (claimed, _) = self.wallet.ledger.watched(opened.claim(claims)).await;
        let claimed = claimed?;
        endpoint.close().await;
        let claiming = studies.iter_mut().filter(|study| study.study.held.claim.is_some());
        for (study, claimed) in claiming.zip(claimed) {
            match claimed {
                Claimed::Failed(why) => {
                    study.failed = Some(why.to_string());
                    self.let_go(&study.study).await?;
                }
                Claimed::Final { envelope, included } => {
                    self.settle(&mut study.study, *envelope, *included).await?;
                }
            }
        }
        // Of what is the patient's, and of nothing else.
        for (study, about) in studies.iter().zip(&about) {
            if study.failed.is_none() && about.is_said() {
                self.wallet.vault.put(study.study.id.as_bytes(), about)?;
            }
        }
        Ok(PickupOutcome { studies, not_offered, has_more })
    }

    /// Has what is picked up with a code stay on this device: the others are not told of it.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn keep_pickup_here(&self, code: &PickupCode) -> Result<(), WalletError> {
        Ok(self.wallet.vault.put(&place(code), &OnlyHere {})?)
    }

    /// The pickup as it was begun, so that the hospital knows the wallet again.
    fn begin(&self, code: &PickupCode) -> Result<Begun, WalletError> {
        if let Some(begun) = self.wallet.vault.get::<Begun>(&place(code))? {
            return Ok(begun);
        }
        let begun = Begun { code: code.clone(), seed: random()?, runs: 0 };
        self.keep_begun(&begun)?;
        Ok(begun)
    }

    fn keep_begun(&self, begun: &Begun) -> Result<(), WalletError> {
        Ok(self.wallet.vault.put(&place(&begun.code), begun)?)
    }

    /// Whether an offer is what the source signed: its root.
    pub(super) fn verify_offer(
        &self,
        source: SourceId,
        operational: &Key,
        offer: &Offered,
    ) -> Result<ManifestRoot, WalletError> {
        let chain = self.wallet.chain();
        let header = offer.manifest.manifest.header();
        if header.source != source || !header.is_of(&chain, &offer.salt) {
            return Err(WalletError::Offer(None));
        }
        offer.manifest.verify(&chain, operational).map_err(|error| WalletError::Offer(Some(error)))
    }

    /// Looks how an offer is claimed.
    fn consider(
        &self,
        source: SourceId,
        operational: &Key,
        offer: &Offered,
        root: ManifestRoot,
    ) -> Result<PickedUp, WalletError> {
        let id = offer.manifest.manifest.header().study;
        let known = self.wallet.vault.get::<Held>(id.as_bytes())?;
        // Held, or claimed in this edition: the same claim once more.
        let same = |held: &Held| held.claim.as_ref().is_some_and(|claim| defines(claim, &root, operational));
        if let Some(held) = known.filter(|held| held.final_at.is_some() || same(held)) {
            let before = held.final_at.is_some();
            return Ok(PickedUp { study: OwnStudy { id, held }, before, failed: None });
        }
        let held = self.hold(source, *operational, offer, root)?;
        Ok(PickedUp { study: OwnStudy { id, held }, before: false, failed: None })
    }

    /// A study that was refused is not this wallet's, and nothing of it is among those that are. Its claim is kept apart for as long as it may come into a
    /// block all the same, as one does that the hospitals had not agreed on yet: then the same code goes on with it.
    async fn let_go(&mut self, study: &OwnStudy) -> Result<(), WalletError> {
        let holder = self.holder(study)?.public();
        // When nobody says what the ledger has, it may come.
        let record = match self.wallet.rows(&[StateKey::Study(study.id)]).await {
            Ok(proven) => proven.rows.study(study.id)?,
            Err(_) => None,
        };
        let is_others = record.is_some_and(|record| record.holder != holder);
        let refused = RefusedClaim { held: study.held.clone() };
        Ok(self.wallet.vault.write(|batch| -> Result<(), VaultError> {
            batch.remove::<Held>(study.id.as_bytes())?;
            if is_others {
                batch.remove::<RefusedClaim>(study.id.as_bytes()).map(drop)
            } else {
                batch.put(study.id.as_bytes(), &refused)
            }
        })?)
    }

    /// A claim that was refused once is made once more, with the same key.
    fn take_up_refused_claim(&self, study: StudyId) -> Result<(), WalletError> {
        Ok(self.wallet.vault.write(|batch| -> Result<(), VaultError> {
            let Some(RefusedClaim { held }) = batch.get(study.as_bytes())? else { return Ok(()) };
            batch.remove::<RefusedClaim>(study.as_bytes())?;
            if batch.get::<Held>(study.as_bytes())?.is_none() {
                batch.put(study.as_bytes(), &held)?;
            }
            Ok(())
        })?)
    }

    /// Gives up a claim that can come into no block any more, and came into none: it is made anew, with the same key.
    async fn give_up_late_claim(&mut self, study: StudyId) -> Result<(), WalletError> {
        let Some(held) = self.wallet.vault.get::<Held>(study.as_bytes())? else { return Ok(()) };
        let Some(claim) = held.claim.as_ref().filter(|_| held.final_at.is_none()) else { return Ok(()) };
        if self.wallet.ledger.head().is_before(claim.submit_by) {
            return Ok(());
        }
        // The row is of this header or a newer one: had the claim been executed, the study were there.
        if self.wallet.rows(&[StateKey::Study(study)]).await?.rows.study(study)?.is_none() {
            self.wallet.vault.put(study.as_bytes(), &Held { claim: None, ..held })?;
        }
        Ok(())
    }

    /// Makes the claim of an offered study, with its key, and keeps it before anybody sees it.
    fn hold(
        &self,
        source: SourceId,
        operational: Key,
        offer: &Offered,
        root: ManifestRoot,
    ) -> Result<Held, WalletError> {
        let header = offer.manifest.manifest.header();
        let (nonce, head) = (random()?, self.wallet.ledger.head());
        let (profile, seed) = (self.wallet.profile()?, self.wallet.seed()?);
        // A key that was taken before is of the words of then.
        let under = self.wallet.vault.get::<UnderFormer>(header.study.as_bytes())?;
        let seed_before = under.map_or_else(|| self.wallet.seed(), |under| self.wallet.seed_of(under.words))?;
        let held = self.wallet.vault.write(|batch| {
            let place = match batch.get::<Held>(header.study.as_bytes())? {
                Some(held) => Some((held.device, held.holder, &seed_before)),
                None => {
                    batch.remove::<UnderFormer>(header.study.as_bytes())?;
                    Wallet::take_numbers(batch, Branch::Study, 1)?.map(|number| (profile.device, number, &seed))
                }
            };
            let Some((device, number, holder)) = place.and_then(|(device, number, seed)| {
                Some((device, number, seed.derive_key(device, Branch::Study, number)?))
            }) else {
                return Ok(None);
            };
            let define = DefineStudy {
                digest: offer.salt.study_digest(header.study_instance_uid.as_str()),
                source: operational,
                holder: holder.public(),
                delegates: Ascending::new(),
                manifest_root: root,
                open: header.open,
            };
            let held = Held {
                source,
                device,
                holder: number,
                known: Some(Known { salt: offer.salt.clone(), summary: Summary::of(&offer.manifest.manifest) }),
                claim: Some(envelope::definition(head, nonce, define)),
                final_at: None,
            };
            batch.put(header.study.as_bytes(), &held)?;
            if self.only_here {
                batch.put(header.study.as_bytes(), &OnlyHere {})?;
            }
            batch.put(header.study.as_bytes(), &SeriesTold::of(&offer.manifest.manifest, root))?;
            Ok(Some(held))
        })?;
        held.ok_or(WalletError::NoMoreKeys)
    }

    /// The claim of a study, unless another device made it.
    fn claim_of(&self, study: &OwnStudy) -> Result<Option<Claim>, WalletError> {
        let Some(body) = study.held.claim.clone() else { return Ok(None) };
        let holder = self.holder(study)?.sign(&body.preimage(&self.wallet.chain()));
        Ok(Some(Claim { body, holder }))
    }

    /// Checks what the source says became of a claim.
    async fn settle(
        &mut self,
        study: &mut OwnStudy,
        envelope: Envelope,
        included: Included,
    ) -> Result<(), WalletError> {
        if study.held.claim.as_ref() != Some(&envelope.body) {
            return Err(WalletError::OtherAnswer);
        }
        let verified = envelope.check_stateless(&self.wallet.chain())?;
        let height = self.wallet.ledger.check_inclusion(&included.header, &included.proof, &verified.hash()).await?;
        study.held.final_at = Some(height);
        self.wallet.vault.put(study.id.as_bytes(), &study.held)?;
        self.wallet.keep_light()
    }
}

/// Whether a code says of its hospital what the ledger does: a key that it has announced, and its addresses. A code that was printed before the
/// hospital's keys changed still names the earlier one. So with the addresses of a hospital that has announced itself anew; the ledger does not have
/// its earlier ones, and what is dialled is what it has.
fn says_as_the_ledger(code: &PickupCode, source: &Source) -> bool {
    let announced = &source.announced;
    let keys = [announced.keys.transfer, source.earlier_keys.transfer];
    keys.contains(&code.transfer) && (source.version > 0 || code.addresses == announced.addresses.iroh)
}

/// Where a pickup that was begun is kept.
fn place(code: &PickupCode) -> [u8; 32] {
    *blake3::hash(&code.ticket.0).as_bytes()
}

/// Whether a claim is of this edition, by this source's key.
fn defines(body: &Body, root: &ManifestRoot, operational: &Key) -> bool {
    matches!(&body.action, Action::DefineStudy(define) if define.manifest_root == *root && define.source == *operational)
}

#[cfg(test)]
pub(super) mod tests {
    use clavicle_ledger::derivation::Words;
    use clavicle_ledger::encoding::Text;
    use clavicle_ledger::genesis::{Genesis, Parameters};
    use clavicle_ledger::id::{BlockId, ChainId};
    use clavicle_ledger::key::SecretKey;
    use clavicle_ledger::light::{Checkpoint, LightClient};
    use clavicle_ledger::source::{Addresses, Announcement, SourceKeys, SourceKind};
    use clavicle_ledger::time::{BlockTime, LocalTime, Timestamp};
    use clavicle_letters::pickup::{Question, Ticket};

    use super::*;
    use crate::ledger::Ledger;
    use crate::vault::Passphrase;

    fn key(number: u8) -> Key {
        SecretKey::from_bytes(&[number; 32]).public()
    }

    fn at(address: &str) -> Ascending<Text<128>, 4> {
        Ascending::from_items(vec![Text::new(address).unwrap()]).unwrap()
    }

    /// A hospital as it was when it came into the network.
    fn hospital() -> Source {
        let keys = SourceKeys {
            operational: key(1),
            consensus: None,
            transfer: key(2),
            network: Ascending::from_items(vec![key(3)]).unwrap(),
        };
        let announced = Announcement {
            name: Text::new("mercy").unwrap(),
            kind: SourceKind::Validator,
            keys: keys.clone(),
            addresses: Addresses { iroh: at("192.0.2.1:4"), ..Addresses::default() },
            mailbox: Ascending::new(),
        };
        Source {
            identity: key(4),
            version: 0,
            announced,
            earlier_keys: keys,
            keys_act_in: 0,
            suspended: false,
            successor: None,
            anchors: 0,
            admitted_at: 0,
        }
    }

    /// A patient's wallet on a network of nobody.
    pub(in crate::patient) fn ana(folder: &std::path::Path) -> Patient {
        let time = BlockTime(Timestamp(1));
        let (name, parameters) = (Text::new("test").unwrap(), Parameters::default());
        let genesis = Genesis { name, time, parameters, sources: Ascending::new() };
        let ledger = Ledger::new(&genesis, LightClient::from_genesis(&genesis), || LocalTime(Timestamp(1)));
        let (passphrase, words) =
            (Passphrase::new("four words of it".to_owned()).unwrap(), Words::from_entropy(&[1; 32]));
        Patient::of(Wallet::make(folder, &passphrase, genesis, ledger, (&words, 0), "").unwrap())
    }

    /// A study that the hospital did not hand over was listed as the wallet's, for ever.
    #[test]
    fn what_was_refused_is_not_the_wallets_and_its_claim_is_made_once_more_with_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let mut ana = ana(folder.path());
        let id = StudyId::from_bytes([3; 32]);
        let source = SourceId::from_bytes([6; 32]);
        let define = DefineStudy {
            digest: clavicle_ledger::salt::Salt::from_bytes([4; 32]).study_digest("1.2"),
            source: key(1),
            holder: key(5),
            delegates: Ascending::new(),
            manifest_root: ManifestRoot::from_bytes([8; 32]),
            open: false,
        };
        let claim = envelope::definition(ana.wallet.ledger.head(), [9; 16], define);
        let held = Held { source, device: 0, holder: 7, known: None, claim: Some(claim.clone()), final_at: None };
        ana.wallet.vault.put(id.as_bytes(), &held).unwrap();
        let study = ana.studies().unwrap().remove(0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(ana.let_go(&study)).unwrap();
        assert!(ana.studies().unwrap().is_empty());
        ana.wallet.vault.put(id.as_bytes(), &UnderFormer { words: 0 }).unwrap();
        assert_eq!(ana.count_to_move().unwrap(), 0, "there is nothing that could move");
        // It may come into a block yet: whoever asks again goes on with that claim, and not with another key.
        ana.take_up_refused_claim(id).unwrap();
        let again = ana.studies().unwrap().remove(0).held;
        assert_eq!((again.holder, again.claim), (7, Some(claim)));
        assert_eq!(ana.count_to_move().unwrap(), 1);
        assert!(ana.wallet.vault.get::<RefusedClaim>(id.as_bytes()).unwrap().is_none());
        ana.take_up_refused_claim(id).unwrap();
        assert_eq!(ana.studies().unwrap().len(), 1);
    }

    #[test]
    fn what_failed_first_and_came_later_has_come_and_what_fails_hides_no_rest() {
        let of = |number: u8, failed: Option<&str>| {
            let (id, source) = (StudyId::from_bytes([number; 32]), SourceId::from_bytes([6; 32]));
            let held = Held { source, device: 0, holder: 7, known: None, claim: None, final_at: None };
            PickedUp { study: OwnStudy { id, held }, before: false, failed: failed.map(str::to_owned) }
        };
        let came = |studies, has_more| PickupOutcome { studies, not_offered: Vec::new(), has_more };
        let mut all = came(Vec::new(), true);
        assert!(all.add(came(vec![of(1, None), of(2, Some("busy"))], true)));
        assert!(all.add(came(vec![of(1, Some("late")), of(2, None)], true)), "it went further");
        assert!(all.studies.iter().all(|study| study.failed.is_none()) && all.studies.len() == 2);
        assert!(!all.add(came(vec![of(2, None)], true)));
        assert!(!all.has_more, "nothing new, and nothing in the way");
        assert!(all.add(came(vec![of(3, Some("busy"))], true)));
        assert!(!all.add(came(vec![of(3, Some("busy"))], true)));
        assert!(all.has_more, "behind what fails there may be more");
        assert!(!all.add(came(vec![of(3, None)], false)));
        assert!(!all.has_more);
    }

    #[test]
    fn a_code_that_was_printed_before_its_hospital_moved_is_none_that_was_altered() {
        let code = PickupCode {
            chain: ChainId::from_bytes([5; 32]),
            source: SourceId::from_bytes([6; 32]),
            transfer: key(2),
            addresses: at("192.0.2.1:4"),
            ticket: Ticket([7; 32]),
            question: Question::Pin,
            expires: Timestamp(1),
            checkpoint: Checkpoint { height: 1, block: BlockId::from_bytes([8; 32]) },
        };
        assert!(says_as_the_ledger(&code, &hospital()));
        let elsewhere = PickupCode { addresses: at("192.0.2.66:4"), ..code.clone() };
        assert!(!says_as_the_ledger(&elsewhere, &hospital()), "it never had another");
        let mut moved = hospital();
        (moved.version, moved.announced.addresses.iroh) = (1, at("192.0.2.9:4"));
        moved.announced.keys.transfer = key(9);
        assert!(says_as_the_ledger(&code, &moved), "the key and the address of before");
        assert!(!says_as_the_ledger(&PickupCode { transfer: key(66), ..code }, &moved));
    }
}
