//! Who shows a card: what is said beside its name before anything is granted to it.

use std::collections::BTreeSet;
use std::time::Duration;

use clavicle_ledger::encoding::{self, Ascending, Text};
use clavicle_ledger::id::SourceId;
use clavicle_ledger::key::Signature;
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::time::Timestamp;
use clavicle_letters::card::{Card, MAX_CARD_RELAYS, SignedCard};
use clavicle_letters::credential::Introduction;
use clavicle_letters::introduction;
use clavicle_letters::verdict::{Acquaintance, Changed, Difference, ProvenSource, Unverified, Verdict};
use tokio::time::timeout;
use tracing::debug;

use super::{Granted, Patient};
use crate::error::WalletError;

/// How long it may take to look up who vouches for a card: without that it is said that nobody does, as far as can be
/// seen.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);
/// How long what was said of a card is said again without another look, in milliseconds.
const REMEMBERED_MS: u64 = 10 * 60 * 1000;
/// The most introductions of a card that are looked at: anybody who has the card can leave some.
const MAX_INTRODUCTIONS: usize = 16;

/// A card that was looked at.
#[derive(Clone, Debug)]
pub struct Introduced {
    /// As whoever shows it calls themselves.
    pub name: Text<64>,
    /// What they ask for.
    pub wish: Text<128>,
    /// What stands beside the name.
    pub verdict: Verdict,
    /// Whether it is a team's, or was when it was looked at or let in before and that cannot be read now: then what is
    /// granted to it its members open.
    pub(super) is_team: bool,
    /// Who keeps its mailbox, of those that the network has.
    pub(super) relays: Ascending<SourceId, MAX_CARD_RELAYS>,
    /// By which the card is known again.
    signature: Signature,
    /// When it was looked at.
    at: Timestamp,
}

impl Patient {
    /// Looks at a card: who shows it, and who vouches for that, as the ledger proves it now and as it was when somebody
    /// of that name was let in before. Nothing is granted.
    ///
    /// # Errors
    /// [`WalletError`], when the card cannot be used. That nobody can be asked is none: then nobody vouches.
    pub async fn introduce(&mut self, card: &SignedCard) -> Result<Introduced, WalletError> {
        let (chain, now) = (self.wallet.chain(), self.wallet.now());
        let shown = card.verify(&chain, now)?;
        if let Some(looked) = &self.looked
            && looked.signature == card.signature
            && now.since(looked.at) < REMEMBERED_MS
        {
            return Ok(Introduced::clone(looked));
        }
        let relays = self.relays_of(shown).await?;
        let vouched = match timeout(PATIENCE, self.vouched(shown, &relays)).await {
            Ok(vouched) => vouched?,
            Err(_) => Verdict::Unverified(Unverified::NotRead),
        };
        let grants = self.grants()?;
        let stood: Vec<(&Granted, Verdict)> =
            grants.iter().rev().map(|granted| (granted, granted.made.card.verdict())).collect();
        let before = stood.iter().map(|(granted, verdict)| Acquaintance {
            person: granted.made.card.person(),
            name: granted.made.card.name.as_str(),
            verdict,
            at: granted.made.at,
        });
        let verdict = vouched.against((&shown.person, shown.name.as_str()), before);
        // Nobody is to let a team in as a person by the way, since its introduction cannot be read just now.
        let let_in = stood.iter().find(|(granted, verdict)| {
            let is_team = verdict.is_team() || granted.made.terms.members_of() == Some(shown.person);
            is_team && granted.made.card.person() == Some(&shown.person)
        });
        let looked = self.looked.as_ref().filter(|looked| looked.signature == card.signature && looked.is_team);
        let team_since = let_in.map(|(granted, _)| granted.made.at).or(looked.map(|looked| looked.at));
        let verdict = match (verdict, team_since) {
            (Verdict::Unverified(why), Some(since)) if is_passing(why) => {
                Verdict::Changed(Box::new(Changed { since, what: Difference::Unverified { why }, now: None }))
            }
            (verdict, _) => verdict,
        };
        let is_unread = is_unread(&verdict);
        let introduced = Introduced {
            name: shown.name.clone(),
            wish: shown.wish.clone(),
            is_team: verdict.is_team() || is_unread && team_since.is_some(),
            verdict,
            relays,
            signature: card.signature,
            at: now,
        };
        // What could not be looked up is looked up the next time.
        if !is_unread {
            self.looked = Some(Box::new(introduced.clone()));
        }
        Ok(introduced)
    }

    /// The sources that keep a card's mailbox, of those that the network has.
    pub(super) async fn relays_of(&mut self, card: &Card) -> Result<Ascending<SourceId, MAX_CARD_RELAYS>, WalletError> {
        let ledger = &mut self.wallet.ledger;
        let is_known =
            |ledger: &crate::ledger::Ledger| ledger.marked(&card.relays).iter().any(|relay| ledger.has_relay(relay));
        if !is_known(ledger) {
            ledger.look_up(&[]).await;
            let found = ledger.marked(&card.relays);
            ledger.look_up(&found).await;
        }
        // A letter could be left nowhere.
        if !is_known(ledger) {
            return Err(WalletError::UnknownRelays);
        }
        let found = ledger.marked(&card.relays).into_iter().take(MAX_CARD_RELAYS).collect();
        Ascending::from_items(found).map_err(|_| WalletError::Defect)
    }

    /// Who vouches for a card by what lies in its box, as the ledger proves it now.
    pub(super) async fn vouched(
        &mut self,
        card: &Card,
        relays: &Ascending<SourceId, MAX_CARD_RELAYS>,
    ) -> Result<Verdict, WalletError> {
        let place = card.introduction_box();
        let relays: Vec<SourceId> = relays.iter().copied().collect();
        let Some(sealed) = self.wallet.ledger.look_into(&relays, &place.key).await else {
            return Ok(Verdict::Unverified(Unverified::NotRead));
        };
        // Somebody whom nobody vouches for may have left further keys, each card once.
        let (chain, now, mut seen) = (self.wallet.chain(), self.wallet.now(), BTreeSet::new());
        let is_further = |sealed: &Vec<u8>| {
            introduction::open::<SignedCard>(sealed, &place).is_some_and(|more| {
                let by = more.verify(&chain, now);
                by.is_ok_and(|by| {
                    (by.person, by.mailbox) == (card.person, card.mailbox) && seen.insert(encoding::encode(by))
                })
            })
        };
        if sealed.iter().all(is_further) {
            return Ok(Verdict::Unverified(Unverified::Nobody));
        }
        let mut found: Vec<Introduction> =
            sealed.iter().take(MAX_INTRODUCTIONS).filter_map(|sealed| introduction::open(sealed, &place)).collect();
        // The newest is the person's own, or one that says no less.
        found.sort_by_key(|introduction| std::cmp::Reverse(introduction.first.ended.list.at));
        let mut said = None;
        for introduction in found {
            let verdict = match self.judged(card, &introduction).await {
                Ok(verdict) => verdict,
                Err(error @ WalletError::Vault(_)) => return Err(error),
                Err(error) => {
                    debug!(%error, "it cannot be proven who vouches for a card");
                    Verdict::Unverified(Unverified::NotRead)
                }
            };
            match verdict {
                // That it was ended is the issuer's word, whoever brought it.
                Verdict::Ended(_) => return Ok(verdict),
                Verdict::Verified(_) if !matches!(said, Some(Verdict::Verified(_))) => said = Some(verdict),
                verdict => said = said.or(Some(verdict)),
            }
        }
        Ok(said.unwrap_or(Verdict::Unverified(Unverified::NotRead)))
    }

    async fn judged(&mut self, card: &Card, introduction: &Introduction) -> Result<Verdict, WalletError> {
        let Some(id) = introduction.source() else { return Ok(Verdict::Unverified(Unverified::ChainTooLong)) };
        let proven = self.wallet.rows(&[StateKey::Head, StateKey::Source(id)]).await?;
        let row = proven.rows.source(id)?;
        let source = ProvenSource { id, row: row.as_ref(), epoch: proven.rows.head()?.epoch };
        let chain = self.wallet.chain();
        Ok(introduction.judge(&chain, source, (&card.person, card.name.as_str()), self.wallet.now()))
    }
}

/// Whether it may be otherwise soon, with a network or a newer list.
const fn is_passing(why: Unverified) -> bool {
    matches!(why, Unverified::NotRead | Unverified::ListTooOld)
}

/// Whether who vouches could not be seen this time, and may be the next.
fn is_unread(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Unverified(why) => is_passing(*why),
        Verdict::Changed(changed) => matches!(changed.what, Difference::Unverified { why } if is_passing(why)),
        Verdict::Verified(_) | Verdict::Ended(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_now_is_not_what_was_said() {
        let changed = |what| Verdict::Changed(Box::new(Changed { since: Timestamp(1), what, now: None }));
        for why in [Unverified::NotRead, Unverified::ListTooOld] {
            assert!(is_unread(&Verdict::Unverified(why)) && is_unread(&changed(Difference::Unverified { why })));
        }
        for why in [Unverified::Nobody, Unverified::Forged, Unverified::SourceGone] {
            assert!(!is_unread(&Verdict::Unverified(why)) && !is_unread(&changed(Difference::Unverified { why })));
        }
        assert!(!is_unread(&changed(Difference::Key)));
    }
}
