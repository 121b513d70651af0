//! Who shows a card: what is said beside its name before anything is granted to it.

use std::time::Duration;

use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::id::SourceId;
use clavicle_ledger::key::Signature;
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::time::Timestamp;
use clavicle_letters::card::{Card, MAX_CARD_RELAYS, SignedCard};
use clavicle_letters::credential::Introduction;
use clavicle_letters::introduction;
use clavicle_letters::verdict::{Acquaintance, ProvenSource, Unverified, Verdict};
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
        let introduced = Introduced {
            name: shown.name.clone(),
            wish: shown.wish.clone(),
            // What could not be looked up is looked up the next time.
            verdict,
            relays,
            signature: card.signature,
            at: now,
        };
        if !matches!(introduced.verdict, Verdict::Unverified(Unverified::NotRead)) {
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
        if sealed.is_empty() {
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
