//! Several devices of one patient, which share what they did.
//!
//! All have the same words, and each keys of its own number. Each leaves in the boxes of the others what they cannot find out by
//! themselves: which studies it picked up, whom it let in and on which terms, what a person calls a device, and which was ended. What
//! was told whom is kept, so that it is told once; what could not be left is left the next time.
//!
//! The words are all that it takes to read and to write to those boxes. So a device that was *ended* is told nothing more by the others, and
//! they do not listen to it; what its words hold it still can. Against somebody who has the words new words help, and nothing else
//! (`renewal.rs`).

use clavicle_ledger::encoding::{self, Ascending, Text};
use clavicle_ledger::id::{BlockId, GrantId, SourceId, StudyId};
use clavicle_ledger::light::Checkpoint;
use clavicle_ledger::state::StateKey;
use clavicle_ledger::time::Timestamp;
use clavicle_ledger::transaction::Action;
use clavicle_letters::mailbox::MAX_SEALED_LEN;
use clavicle_letters::news::{GrantMade, HeldStudy, Here, MAX_TOLD, News, NewsItem, OwnBox};
use clavicle_letters::verdict::{Unverified, Verdict};
use tracing::debug;

use super::restore::Found;
use super::{OwnStudy, Patient};
use crate::devices::{BOX_DAYS, Register, box_of, keep, leave, peeked, read};
use crate::error::{OwnText, WalletError};
use crate::ledger::{Collect, Keep};
use crate::rows::{
    Device, Held, KeptCard, Made, NewsCame, OnlyHere, OwnDevice, Profile, ShownBy, Stage, ToldDevice, UnderFormer,
};
use crate::vault::VaultError;
use crate::wallet::{Wallet, random};

/// For how long a box is kept at least; it is renewed when it is less, in milliseconds.
const RENEWED_MS: u64 = clavicle_ledger::time::DAY_MS * BOX_DAYS / 2;
/// The most that one device is told at once: its box takes little more.
const MOST: usize = 48;
/// The most devices that are kept in mind.
const MAX_DEVICES: usize = 64;
/// The most grants that wait for what their studies are.
const MAX_WAITING: usize = 64;

/// A device of the same words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRow {
    /// Its number.
    pub device: u32,
    /// What a person calls it; empty until it is named.
    pub name: String,
    /// Since when it is there, by its own word.
    pub since: Timestamp,
    /// Whether it is this one.
    pub is_own: bool,
    /// Whether it was ended: it is told nothing, and not listened to.
    pub is_ended: bool,
}

/// What devices told each other.
#[derive(Debug, Default)]
pub struct Shared {
    /// How many things this device was told.
    pub heard: usize,
    /// How many things the others were told.
    pub told: usize,
    /// How many are still to be told: a box is full, or nobody keeps it.
    pub waits: usize,
    /// Studies that another device told of, and of which it cannot be said yet what they are; [`Patient::find`] asks once more.
    pub not_told: Vec<(StudyId, WalletError)>,
}

impl Patient {
    /// The devices of the same words, as far as they were heard of.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn devices(&self) -> Result<Vec<DeviceRow>, WalletError> {
        let own = self.wallet.profile()?.device;
        let ended = self.wallet.vault.get::<OwnDevice>(b"")?.is_some_and(|own| own.is_ended);
        let all = self.wallet.vault.all::<Device>()?.into_iter();
        let mut rows: Vec<DeviceRow> = all
            .filter_map(|(number, row)| Some((u32::from_be_bytes(number.try_into().ok()?), row)))
            .map(|(device, row)| DeviceRow {
                device,
                name: row.name.to_string(),
                since: row.since,
                is_own: device == own,
                is_ended: row.is_ended || device == own && ended,
            })
            .collect();
        rows.sort_by_key(|row| row.device);
        Ok(rows)
    }

    /// Whether another device has ended this one: nothing is shared any more.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn is_ended(&self) -> Result<bool, WalletError> {
        Ok(self.wallet.vault.get::<OwnDevice>(b"")?.is_some_and(|own| own.is_ended))
    }

    /// Whether there are others that are to be told what this one does, or that they were ended.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn has_sisters(&self) -> Result<bool, WalletError> {
        if self.is_ended()? {
            return Ok(false);
        }
        for row in self.devices()?.iter().filter(|row| !row.is_own) {
            if !row.is_ended || !self.untold(row.device, true)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Names a device. The others are told when devices share next.
    ///
    /// # Errors
    /// [`WalletError::NoDevice`], [`WalletError::Unusable`].
    pub fn name_device(&self, device: u32, name: &str) -> Result<(), WalletError> {
        let name = name.trim();
        let shown = Text::new(name).ok().filter(|_| !name.is_empty());
        let shown = shown.ok_or(WalletError::Unusable { what: OwnText::Name, len: name.len(), max: 64 })?;
        self.change_device(device, |row| row.name = shown)
    }

    /// Ends a device, another than this one: from now on it is told nothing, and not listened to.
    ///
    /// # Errors
    /// [`WalletError::NoDevice`].
    pub fn end_device(&self, device: u32) -> Result<(), WalletError> {
        if device == self.wallet.profile()?.device {
            return Err(WalletError::OwnDevice);
        }
        self.change_device(device, |row| row.is_ended = true)
    }

    fn change_device(&self, device: u32, change: impl FnOnce(&mut Device)) -> Result<(), WalletError> {
        let place = device.to_be_bytes();
        let mut row = self.wallet.vault.get::<Device>(&place)?.ok_or(WalletError::NoDevice(device))?;
        change(&mut row);
        Ok(self.wallet.vault.put(&place, &row)?)
    }

    /// Tells the other devices what this one did, and hears what they did. The first time it also says that it is there.
    ///
    /// # Errors
    /// [`WalletError`]; the same again goes on where it stopped.
    pub async fn share(&mut self) -> Result<Shared, WalletError> {
        self.wallet.rows(&[StateKey::Head]).await?;
        let seed = self.wallet.seed()?;
        let mut register = Register::read(&self.wallet.ledger, &seed).await?;
        let mut shared = Shared::default();
        if self.is_ended()? {
            return Ok(shared);
        }
        let mut own = self.own_device(&mut register).await?;
        let now = self.wallet.now();
        if register.relays.is_empty() || own.register_until < now.plus(RENEWED_MS) {
            own.register_until = keep(&mut self.wallet.ledger, &register.own, &mut register.relays).await?;
        }
        let device = self.wallet.profile()?.device;
        register.announce(&mut self.wallet.ledger, device, own.here).await?;
        let own_box = box_of(&seed, device)?;
        let mut relays = peeked(&self.wallet.ledger, &own_box).await?.relays;
        if relays.is_empty() || own.box_until < now.plus(RENEWED_MS) {
            own.box_until = keep(&mut self.wallet.ledger, &own_box, &mut relays).await?;
        }
        self.wallet.vault.put(b"", &own)?;
        for (device, here) in &register.devices {
            self.meet(*device, here.since)?;
        }
        self.meet(device, own.here.since)?;
        self.hear(&own_box, relays, &mut shared).await?;
        if !self.is_ended()? {
            self.tell_others(&mut shared).await?;
        }
        self.wallet.keep_directory()?;
        self.wallet.keep_light()?;
        Ok(shared)
    }

    /// What this device says of itself. One whose number another says, too, takes one of its own before it uses a key of it.
    async fn own_device(&mut self, register: &mut Register) -> Result<OwnDevice, WalletError> {
        let profile = self.wallet.profile()?;
        let own = match self.wallet.vault.get::<OwnDevice>(b"")? {
            Some(own) => own,
            None => {
                let here = Here { since: self.wallet.now(), nonce: random()?, first_card: 0, first_mailbox: 0 };
                let zero = Timestamp(0);
                OwnDevice { here, box_until: zero, register_until: zero, is_ended: false }
            }
        };
        self.wallet.vault.put(b"", &own)?;
        let is_others = |(device, here): &(u32, Here)| *device == profile.device && here.nonce != own.here.nonce;
        let is_said = register.devices.contains(&(profile.device, own.here));
        if is_said || !register.devices.iter().any(is_others) {
            return Ok(own);
        }
        let least = profile.device.saturating_add(1);
        let settled = register.settle(&mut self.wallet.ledger, (least, u32::MAX >> 1), (0, 0)).await?;
        self.take_number(settled)?;
        self.wallet.vault.get::<OwnDevice>(b"")?.ok_or(WalletError::Defect)
    }

    /// Takes a number that was settled: keys go on from there.
    pub(super) fn take_number(&self, (device, here): (u32, Here)) -> Result<(), WalletError> {
        let zero = Timestamp(0);
        Ok(self.wallet.vault.write(|batch| -> Result<(), VaultError> {
            let Some(mut profile) = batch.get::<Profile>(b"")? else { return Ok(()) };
            if profile.device != device {
                (profile.device, profile.next_study) = (device, 0);
                batch.put(b"", &profile)?;
            }
            batch.put(b"", &OwnDevice { here, box_until: zero, register_until: zero, is_ended: false })
        })?)
    }

    /// Keeps that there is a device, once it is heard of.
    fn meet(&self, device: u32, since: Timestamp) -> Result<(), WalletError> {
        let place = device.to_be_bytes();
        if self.wallet.vault.get::<Device>(&place)?.is_some() || self.wallet.vault.all::<Device>()?.len() >= MAX_DEVICES
        {
            return Ok(());
        }
        Ok(self.wallet.vault.put(&place, &Device { name: Text::default(), since, is_ended: false })?)
    }

    /// Takes what lies in this device's box, and does what it says. It is in the vault before it is thrown away at the relay.
    async fn hear(&mut self, own: &OwnBox, relays: Vec<SourceId>, shared: &mut Shared) -> Result<(), WalletError> {
        let collect = Collect { key: own.key.clone(), relays };
        let mut came = Came { wallet: &self.wallet };
        self.wallet.ledger.collect(std::slice::from_ref(&collect), &mut came, &mut |_, _| {}).await?;
        self.do_what_came(own, shared).await
    }

    /// What cannot be done and never could is done with as well: it would stand before all that comes after it.
    async fn do_what_came(&mut self, own: &OwnBox, shared: &mut Shared) -> Result<(), WalletError> {
        let came = self.wallet.vault.all::<NewsCame>()?.into_iter();
        let mut came: Vec<_> =
            came.map(|(place, NewsCame { sealed })| (place, read(&self.wallet.ledger, own, &sealed))).collect();
        // Grants last: of studies that others of them tell of.
        came.sort_by_key(|(_, news)| news.as_ref().is_some_and(|news| matches!(news.item, NewsItem::Granted(_))));
        let mut waiting = 0;
        for (place, news) in came {
            if let Some(news) = news {
                match self.take_news(news, shared).await {
                    Ok(true) => shared.heard += 1,
                    Ok(false) if waiting < MAX_WAITING => {
                        waiting += 1;
                        continue;
                    }
                    Ok(false) => debug!("too many grants of studies that are not known here wait"),
                    Err(error @ (WalletError::Vault(_) | WalletError::NoRelay(_))) => return Err(error),
                    Err(error) => debug!(%error, "what another device tells cannot be done"),
                }
            }
            self.wallet.vault.remove::<NewsCame>(&place)?;
        }
        Ok(())
    }

    /// Does what another device tells, unless that was ended. Whether it is done with.
    async fn take_news(&mut self, News { device, item }: News, shared: &mut Shared) -> Result<bool, WalletError> {
        self.meet(device, self.wallet.now())?;
        let is_ended = |row: Device| row.is_ended;
        if self.wallet.vault.get::<Device>(&device.to_be_bytes())?.is_none_or(is_ended) {
            debug!("a device that was ended is not listened to");
            return Ok(true);
        }
        match item {
            // It says so in the register.
            NewsItem::Here(_) => {}
            NewsItem::Named { device, name } => {
                self.meet(device, self.wallet.now())?;
                drop(self.change_device(device, |row| row.name = name));
            }
            NewsItem::Ended { device } if device == self.wallet.profile()?.device => {
                if let Some(own) = self.wallet.vault.get::<OwnDevice>(b"")? {
                    self.wallet.vault.put(b"", &OwnDevice { is_ended: true, ..own })?;
                }
            }
            NewsItem::Ended { device } => {
                self.meet(device, self.wallet.now())?;
                drop(self.change_device(device, |row| row.is_ended = true));
            }
            NewsItem::Held(studies) => {
                for held in &studies {
                    match self.take_told(held).await? {
                        Some(Found::NotTold(study, why)) => shared.not_told.push((study, why)),
                        _ => self.wallet.vault.put(&told_place(device, &id_of_held(held)), &ToldDevice {})?,
                    }
                }
            }
            NewsItem::Granted(made) => return self.take_grant(device, *made),
        }
        Ok(true)
    }

    /// Keeps a grant that another device made, if it is one on a study that is the wallet's. One on a study that is not known here yet waits for
    /// that until it is over. Whether it is done with.
    fn take_grant(&self, device: u32, made: GrantMade) -> Result<bool, WalletError> {
        let GrantMade { envelope, terms, name, person, grantees, mailbox, recipient, wish, expires, .. } = made;
        let chain = self.wallet.chain();
        let Ok(verified) = envelope.clone().check_stateless(&chain) else { return Ok(true) };
        let Action::Grant(grant) = &verified.body().action else { return Ok(true) };
        let id = GrantId::from(verified.id());
        let is_it = grant.terms == terms.commitment(&chain, grant.study, &grant.grantee);
        if !is_it || self.wallet.vault.get::<Made>(id.as_bytes())?.is_some() {
            return Ok(true);
        }
        if self.wallet.vault.get::<Held>(grant.study.as_bytes())?.is_none() {
            return Ok(self.wallet.now() >= terms.expires);
        }
        let shown_by = match person {
            Some(key) => ShownBy::Person { key, verdict: Verdict::Unverified(Unverified::Nobody) },
            None => ShownBy::Somebody,
        };
        let card = KeptCard {
            chain,
            name,
            shown_by,
            grantees,
            mailbox,
            recipient,
            wish,
            checkpoint: Checkpoint { height: 0, block: BlockId::from_bytes([0; 32]) },
            expires,
            signature: made.signature,
        };
        let (study, grantee, at) = (grant.study, grant.grantee, made.at);
        let made = Made { study, card, grantee, terms, envelope, at, stage: Stage::Delivered(made.final_at) };
        self.wallet.vault.write(|batch| -> Result<(), VaultError> {
            batch.put(id.as_bytes(), &made)?;
            // Whoever told it need not be told.
            batch.put(&told_place(device, id.as_bytes()), &ToldDevice {})
        })?;
        Ok(true)
    }

    /// Leaves with every other device what it was not told yet.
    async fn tell_others(&mut self, shared: &mut Shared) -> Result<(), WalletError> {
        let (seed, own) = (self.wallet.seed()?, self.wallet.profile()?.device);
        for row in self.devices()?.into_iter().filter(|row| !row.is_own) {
            let mut news = self.untold(row.device, row.is_ended)?;
            if news.is_empty() {
                continue;
            }
            let place = box_of(&seed, row.device)?;
            let relays = peeked(&self.wallet.ledger, &place).await?.relays;
            let all = news.len();
            news.truncate(MOST);
            let mut told = 0;
            for (ids, item) in news {
                let news = News { device: own, item };
                if relays.is_empty() || !leave(&mut self.wallet.ledger, &place, &relays, news).await? {
                    break;
                }
                told += 1;
                self.wallet.vault.write(|batch| -> Result<(), VaultError> {
                    for id in &ids {
                        batch.put(&told_place(row.device, id), &ToldDevice {})?;
                    }
                    Ok(())
                })?;
            }
            shared.told += told;
            shared.waits += all - told;
        }
        Ok(())
    }

    /// What a device was not told yet, each with what it is known by. One that was ended is told that, and nothing else.
    fn untold(&self, to: u32, is_ended: bool) -> Result<Vec<Untold>, WalletError> {
        let is_told =
            |id: &[u8; 32]| Ok::<_, WalletError>(self.wallet.vault.get::<ToldDevice>(&told_place(to, id))?.is_some());
        let mut all = Vec::new();
        for row in self.devices()? {
            let device = row.device;
            let ended = row.is_ended.then_some(NewsItem::Ended { device });
            let named = Text::new(&row.name).ok().filter(|name: &Text<64>| !name.as_str().is_empty() && !is_ended);
            let named = named.map(|name| NewsItem::Named { device, name });
            for item in ended.into_iter().filter(|_| !is_ended || device == to).chain(named) {
                let id = *blake3::hash(&encoding::encode(&item)).as_bytes();
                if !is_told(&id)? {
                    all.push((vec![id], item));
                }
            }
        }
        if is_ended {
            return Ok(all);
        }
        let mut held = Vec::new();
        for OwnStudy { id, held: row } in self.studies()? {
            let is_here = self.wallet.vault.get::<OnlyHere>(id.as_bytes())?.is_some();
            let under = self.wallet.vault.get::<UnderFormer>(id.as_bytes())?.is_some();
            if row.final_at.is_none() || is_here || under {
                continue;
            }
            let one = HeldStudy { study: id, source: row.source, device: row.device, number: row.holder };
            let place = id_of_held(&one);
            if !is_told(&place)? {
                held.push((place, one));
            }
        }
        for some in held.chunks(MAX_TOLD) {
            let ids = some.iter().map(|(id, _)| *id).collect();
            let studies = some.iter().map(|(_, one)| *one).collect();
            if let Ok(studies) = Ascending::from_items(studies) {
                all.push((ids, NewsItem::Held(studies)));
            }
        }
        for granted in self.grants()? {
            let Made { study, card, terms, envelope, at, stage, grantee: _ } = granted.made;
            // The others take what they are told for delivered; before that nobody uses it.
            let Stage::Delivered(final_at) = stage else { continue };
            let is_here = self.wallet.vault.get::<OnlyHere>(study.as_bytes())?.is_some();
            if is_here || is_told(granted.id.as_bytes())? {
                continue;
            }
            let person = card.person().copied();
            let KeptCard { name, grantees, mailbox, recipient, wish, expires, signature, .. } = card;
            let made = GrantMade {
                envelope,
                terms,
                name,
                person,
                grantees,
                mailbox,
                recipient,
                wish,
                expires,
                signature,
                at,
                final_at,
            };
            all.push((vec![*granted.id.as_bytes()], NewsItem::Granted(Box::new(made))));
        }
        Ok(all)
    }
}

/// Something that a device was not told yet: what it is known by, and what it is.
type Untold = (Vec<[u8; 32]>, NewsItem);

/// Where it is kept that a device was told something.
fn told_place(device: u32, id: &[u8; 32]) -> Vec<u8> {
    [&device.to_be_bytes()[..], id].concat()
}

fn id_of_held(held: &HeldStudy) -> [u8; 32] {
    *blake3::hash(&encoding::encode(held)).as_bytes()
}

/// What a collection brings.
struct Came<'a> {
    wallet: &'a Wallet,
}

impl Keep for Came<'_> {
    fn keep(&mut self, _: usize, sealed: &[u8]) -> Result<(), WalletError> {
        if sealed.len() > MAX_SEALED_LEN {
            return Ok(());
        }
        let place = *blake3::hash(sealed).as_bytes();
        Ok(self.wallet.vault.put(&place, &NewsCame { sealed: sealed.to_vec() })?)
    }
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::action::Grant;
    use clavicle_ledger::id::RequestDigest;
    use clavicle_ledger::key::{SecretKey, Signature};
    use clavicle_ledger::transaction::Body;
    use clavicle_letters::letter::{Content, Letter};
    use clavicle_letters::mailbox::Mailbox;
    use clavicle_letters::seal;

    use super::super::pickup::tests::ana;
    use super::*;
    use crate::objection::tests::received;

    /// A letter of another device of the same words, as it lies in the vault.
    fn came(ana: &Patient, own: &OwnBox, item: NewsItem) {
        let letter = Letter {
            chain: ana.wallet.chain(),
            to: own.identity.recipient(),
            from: own.key.public(),
            sent: ana.wallet.now(),
            content: Content::News(Box::new(News { device: 3, item })),
        };
        let sealed = seal::seal(&letter, &own.key).unwrap();
        Came { wallet: &ana.wallet }.keep(0, &sealed).unwrap();
    }

    #[test]
    fn what_cannot_be_done_keeps_nothing_else_from_being_heard() {
        let folder = tempfile::tempdir().unwrap();
        let mut ana = ana(folder.path());
        let own = box_of(&ana.wallet.seed().unwrap(), 0).unwrap();
        // No key has such a number.
        let (study, source) = (StudyId::from_bytes([3; 32]), SourceId::from_bytes([6; 32]));
        let held = HeldStudy { study, source, device: 3, number: u32::MAX };
        came(&ana, &own, NewsItem::Held(Ascending::from_items(vec![held]).unwrap()));
        came(&ana, &own, NewsItem::Named { device: 3, name: Text::new("tablet").unwrap() });
        let (mut shared, runtime) =
            (Shared::default(), tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
        runtime.block_on(ana.do_what_came(&own, &mut shared)).unwrap();
        assert_eq!((shared.heard, ana.devices().unwrap()[0].name.as_str()), (1, "tablet"));
        assert!(ana.wallet.vault.all::<NewsCame>().unwrap().is_empty(), "it is not read again");
    }

    /// A grant, as far as it is; it names its study.
    fn granted(ana: &Patient, study: StudyId, stage: Stage) -> (GrantId, Made) {
        let (chain, holder) = (ana.wallet.chain(), SecretKey::from_bytes(&[5; 32]));
        let (terms, grantee) = (received().terms, SecretKey::from_bytes(&[9; 32]).public());
        let grant = Grant {
            study,
            granter: holder.public(),
            grantee,
            expiry_day: terms.expires.day_rounded_up(),
            terms: terms.commitment(&chain, study, &grantee),
            request: RequestDigest::NONE,
        };
        let body = Body { submit_by: terms.expires, nonce: [1; 16], action: Action::Grant(grant) };
        let id = GrantId::from(body.id(&chain));
        let mailbox = OwnBox::of(SecretKey::from_bytes(&[8; 32]));
        let relays = Ascending::from_items(vec![SourceId::from_bytes([6; 32])]).unwrap();
        let card = KeptCard {
            chain,
            name: Text::new("Dr Rossi").unwrap(),
            shown_by: ShownBy::Somebody,
            grantees: Ascending::from_items(vec![grantee]).unwrap(),
            mailbox: Mailbox { key: mailbox.key.public(), relays, token: mailbox.token },
            recipient: mailbox.identity.recipient(),
            wish: Text::default(),
            checkpoint: Checkpoint { height: 0, block: BlockId::from_bytes([0; 32]) },
            expires: terms.expires,
            signature: Signature::from_bytes([1; 64]),
        };
        let envelope = body.sign(&chain, &[&holder]).unwrap();
        (id, Made { study, card, grantee, terms, envelope, at: Timestamp(1), stage })
    }

    /// Another device said of a letter that it was delivered which lay nowhere yet.
    #[test]
    fn a_grant_is_told_once_it_is_delivered_and_waits_for_its_study() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, mut sister) = (ana(folder.path()), ana(other.path()));
        let study = StudyId::from_bytes([3; 32]);
        let source = SourceId::from_bytes([6; 32]);
        let (id, made) = granted(&one, study, Stage::Final(4));
        one.wallet.vault.put(id.as_bytes(), &made).unwrap();
        assert!(one.untold(3, false).unwrap().is_empty(), "its letter lies nowhere");
        one.wallet.vault.put(id.as_bytes(), &Made { stage: Stage::Delivered(4), ..made }).unwrap();
        let (ids, item) = one.untold(3, false).unwrap().remove(0);
        assert_eq!(ids, [*id.as_bytes()]);

        let own = box_of(&sister.wallet.seed().unwrap(), 0).unwrap();
        came(&sister, &own, item);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let hear = |sister: &mut Patient| {
            let mut shared = Shared::default();
            runtime.block_on(sister.do_what_came(&own, &mut shared)).unwrap();
            (shared.heard, sister.wallet.vault.get::<Made>(id.as_bytes()).unwrap().map(|made| made.stage))
        };
        assert_eq!(hear(&mut sister), (0, None), "it does not know the study");
        let held = Held { source, device: 3, holder: 7, known: None, claim: None, final_at: Some(2) };
        sister.wallet.vault.put(study.as_bytes(), &held).unwrap();
        assert_eq!(hear(&mut sister), (1, Some(Stage::Delivered(4))));
        assert_eq!(hear(&mut sister).0, 0);
    }
}
