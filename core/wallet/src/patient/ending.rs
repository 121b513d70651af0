//! Ending much at once: all that one person was granted, or everything. Each grant ends by itself, many at a time, and
//! what became of each is said.
//!
//! What this wallet granted is signed and kept before anything is sent, so that whatever breaks off goes on with the
//! same revocations. What another device granted is found on the ledger.

use std::collections::{BTreeMap, BTreeSet};

use clavicle_ledger::encoding::Text;
use clavicle_ledger::id::{GrantId, StudyId};
use clavicle_ledger::receipt::SignedReceipt;
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::time::{BlockTime, Height};
use clavicle_ledger::transaction::Action;
use clavicle_letters::verdict::Verdict;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use super::grant::Revocable;
use super::{OwnStudy, Patient};
use crate::error::WalletError;
use crate::objection;
use crate::rows::{Held, Made, RefusedGrant, Revoked, Stage};
use crate::wallet::{Revocation, hand_over, revoke};

/// How many revocations are on their way at once.
const AT_ONCE: usize = 16;

/// Whose grants are to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Everybody's, on every study.
    Everybody,
    /// Those of whoever showed cards with this name, on every study. Two who have one name are taken for one: rather
    /// one grant too many ends.
    Named(String),
}

/// A grant that was to end, and what became of it.
#[derive(Debug)]
pub struct EndingRow<E = WalletError> {
    /// Which.
    pub grant: GrantId,
    /// On which study.
    pub study: StudyId,
    /// To whom it was, in their own words; nothing when another wallet granted.
    pub name: Option<Text<64>>,
    /// What stood beside the name.
    pub verdict: Option<Verdict>,
    /// What became of it.
    pub outcome: EndOutcome<E>,
}

/// What became of a grant that was to end; what went wrong is said as an `E`.
#[derive(Debug)]
pub enum EndOutcome<E = WalletError> {
    /// It has ended.
    Final {
        /// At which height.
        height: Height,
        /// The source's word that it serves no more. Without one its system is waited for: it stops when it sees the
        /// ledger.
        receipt: Option<SignedReceipt>,
    },
    /// It had ended before, by the ledger.
    Before {
        /// As of which height.
        height: Height,
    },
    /// Its source serves no more, by its own word; the hospitals have not agreed on it yet.
    Told {
        /// That word.
        receipt: SignedReceipt,
        /// Why it is not final.
        why: E,
    },
    /// It was signed and kept, and has not ended yet.
    Waiting(E),
}

impl<E> EndOutcome<E> {
    /// Whether the grant has ended, for good.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Final { .. } | Self::Before { .. })
    }
}

/// What ending much at once came to.
#[derive(Debug)]
pub struct Endings<E = WalletError> {
    /// Every grant that was to end.
    pub rows: Vec<EndingRow<E>>,
    /// Live grants that another device made, where one person's were to end: whom they are to is not known here.
    pub unnamed: usize,
    /// Why the ledger could not be asked for grants of other devices on every study.
    pub not_asked: Option<E>,
    /// How many grants were planned for later, and are not made any more.
    pub stopped: usize,
}

impl<E> Endings<E> {
    /// Whether all that was asked for has ended, and is known to be all.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.unnamed == 0 && self.not_asked.is_none() && self.rows.iter().all(|row| row.outcome.is_final())
    }

    /// The same, with what went wrong said otherwise.
    #[must_use]
    pub fn map_errors<O>(self, said: impl Fn(E) -> O) -> Endings<O> {
        let row = |EndingRow { grant, study, name, verdict, outcome }| {
            let outcome = match outcome {
                EndOutcome::Final { height, receipt } => EndOutcome::Final { height, receipt },
                EndOutcome::Before { height } => EndOutcome::Before { height },
                EndOutcome::Told { receipt, why } => EndOutcome::Told { receipt, why: said(why) },
                EndOutcome::Waiting(why) => EndOutcome::Waiting(said(why)),
            };
            EndingRow { grant, study, name, verdict, outcome }
        };
        let rows = self.rows.into_iter().map(row).collect();
        Endings { rows, unnamed: self.unnamed, not_asked: self.not_asked.map(&said), stopped: self.stopped }
    }
}

impl Patient {
    /// Ends all grants of one person, or of everybody. `progress` is told how many are done, and of how many.
    ///
    /// # Errors
    /// [`WalletError::NoPerson`], and those of the vault; what else goes wrong stands beside the grant that it is
    /// about.
    pub async fn end(
        &mut self,
        whose: &Whose,
        progress: impl Fn(usize, usize) + Send + Sync,
    ) -> Result<Endings, WalletError> {
        // First of all what nobody has seen yet.
        let stopped = self.stop_planned(whose)?;
        self.wallet.refresh_head().await;
        let known = match self.known_to_end(whose) {
            Err(WalletError::NoPerson(_)) if stopped > 0 => Vec::new(),
            known => known?,
        };
        let mut handled: BTreeSet<GrantId> = known.iter().map(|grant| grant.id).collect();
        // What is known here does not wait for what has to be asked for.
        let mut rows = self.end_each(known, &progress).await?;
        let studies: Vec<OwnStudy> =
            self.studies()?.into_iter().filter(|study| study.held.final_at.is_some()).collect();
        let (mut live, not_asked) = self.live_on(&studies).await?;
        for row in rows.iter_mut().filter(|row| !row.outcome.is_final()) {
            // Somebody was faster: another device, or the day.
            if let Some((height, grants)) = live.get(&row.study)
                && !grants.contains(&row.grant)
                && self.was_executed(row.grant, *height)?
            {
                row.outcome = EndOutcome::Before { height: *height };
            }
        }
        let (mut others, mut unnamed) = (Vec::new(), 0);
        for (study, (_, grants)) in &mut live {
            grants.retain(|grant| handled.insert(*grant));
            for grant in grants.iter() {
                let to = self.given_to(*grant)?;
                match (whose, &to) {
                    (Whose::Named(_), None) => unnamed += 1,
                    (Whose::Named(asked), Some((name, _))) if !is_called(name.as_str(), asked) => {}
                    _ => others.push(Revocable::of_ledger(*grant, *study, to)),
                }
            }
        }
        rows.extend(self.end_each(others, &progress).await?);
        Ok(Endings { rows, unnamed, not_asked, stopped })
    }

    /// What is to end of this wallet's own grants, and of the revocations that it signed and that are not final.
    fn known_to_end(&self, whose: &Whose) -> Result<Vec<Revocable>, WalletError> {
        let (head, grants) = (self.wallet.ledger.head(), self.grants()?);
        let is_asked = |name: &str| match whose {
            Whose::Everybody => true,
            Whose::Named(asked) => is_called(name, asked),
        };
        if let Whose::Named(asked) = whose {
            let refused = self.wallet.vault.all::<RefusedGrant>()?;
            let mut names = grants.iter().map(|grant| &grant.made).chain(refused.iter().map(|(_, one)| &one.made));
            if !names.any(|made| is_asked(made.card.name.as_str())) {
                return Err(WalletError::NoPerson(asked.clone()));
            }
        }
        let mut known = Vec::new();
        for grant in grants {
            let Made { card, terms, stage, envelope, .. } = &grant.made;
            // By block time alone: a clock that is ahead must not have a grant that is live taken for one that is over.
            let may_be_live = head.time.timestamp() < terms.expires
                && (*stage != Stage::Signed || head.is_before(envelope.body.submit_by));
            let has_ended = grant.revoked.as_ref().is_some_and(|revoked| revoked.final_at.is_some());
            if is_asked(card.name.as_str()) && !has_ended && (may_be_live || grant.revoked.is_some()) {
                known.push(Revocable::from(&grant));
            }
        }
        if *whose == Whose::Everybody {
            let own: BTreeSet<GrantId> = known.iter().map(|grant| grant.id).collect();
            for (id, revoked) in self.wallet.vault.all::<Revoked>()? {
                let (Ok(id), Action::Revoke(revoke)) =
                    (id.try_into().map(GrantId::from_bytes), &revoked.envelope.body.action)
                else {
                    continue;
                };
                if revoked.final_at.is_none() && !own.contains(&id) {
                    known.push(Revocable::of_ledger(id, revoke.study, None));
                }
            }
        }
        Ok(known)
    }

    /// Whether a grant is known to have been executed by then: of one that was not, nobody can say that it has ended.
    fn was_executed(&self, grant: GrantId, by: Height) -> Result<bool, WalletError> {
        let made = self.wallet.vault.get::<Made>(grant.as_bytes())?;
        // Of others it is known from the ledger alone.
        Ok(made.is_none_or(|made| match made.stage {
            Stage::Signed => false,
            Stage::Final(at) | Stage::Delivered(at) => at <= by,
        }))
    }

    /// Whoever a grant is to, by this wallet's own record of it.
    fn given_to(&self, grant: GrantId) -> Result<Option<(Text<64>, Verdict)>, WalletError> {
        let made = match self.wallet.vault.get::<Made>(grant.as_bytes())? {
            Some(made) => Some(made),
            None => self.wallet.vault.get::<RefusedGrant>(grant.as_bytes())?.map(|refused| refused.made),
        };
        Ok(made.map(|made| (made.card.name.clone(), made.card.verdict())))
    }

    /// The live grants on each study, as far as the ledger answers, and at which height.
    async fn live_on(&mut self, studies: &[OwnStudy]) -> Result<(LiveGrants, Option<WalletError>), WalletError> {
        let questions = studies.iter().map(|study| vec![StateKey::Head, StateKey::Study(study.id)]).collect();
        let mut answers = Vec::new();
        let asked = self.wallet.rows_of_each(questions, |place, proven| {
            answers.push((place, proven));
            Ok(())
        });
        asked.await?;
        let (mut live, mut not_asked) = (LiveGrants::new(), None);
        for (place, proven) in answers {
            let Some(study) = studies.get(place) else { continue };
            let proven = match proven {
                Ok(proven) => proven,
                Err(error @ WalletError::Vault(_)) => return Err(error),
                Err(error) => {
                    not_asked = Some(error);
                    continue;
                }
            };
            let Some(mut record) = proven.rows.study(study.id)? else { continue };
            objection::keep(&self.wallet.vault, study.id, &record, &proven)?;
            // Somebody else's by now: what is granted there is theirs to end. Of one that went to this wallet's new
            // words, unseen until now, it is its own.
            if record.holder != self.holder(study)?.public()
                && !self.has_moved(study.id, &record.holder, proven.height)?
            {
                continue;
            }
            let now: BlockTime = proven.rows.head()?.time;
            record.settle(now);
            let grants = record.grants.iter().filter(|grant| grant.is_live(now)).map(|grant| grant.id).collect();
            live.insert(study.id, (proven.height, grants));
        }
        Ok((live, not_asked))
    }

    /// Signs and keeps the revocations of all of these, and then has each of them come into force.
    async fn end_each(
        &mut self,
        grants: Vec<Revocable>,
        progress: &(impl Fn(usize, usize) + Send + Sync),
    ) -> Result<Vec<EndingRow>, WalletError> {
        let signed = self.sign_revocations(&grants)?;
        let (count, mut rows, mut is_silent) = (grants.len(), Vec::new(), false);
        let mut next = grants.into_iter().zip(signed);
        let mut under_way = FuturesUnordered::<BoxFuture<'_, _>>::new();
        loop {
            while under_way.len() < AT_ONCE
                && let Some((grant, revoked)) = next.next()
            {
                let held = self.held(grant.study)?;
                let mut ledger = self.wallet.ledger.clone();
                under_way.push(Box::pin(async move {
                    let (envelope, source) = (&revoked.envelope, held.source);
                    let done = match revoked.final_at {
                        Some(height) => (None, Ok(height)),
                        // Where nothing becomes final each is handed over once, and none is waited for.
                        None if is_silent => Box::pin(hand_over(&mut ledger, envelope, source)).await,
                        None => Box::pin(revoke(&mut ledger, envelope, source)).await,
                    };
                    (grant, held, revoked, ledger, done)
                }));
            }
            let Some((grant, held, revoked, ledger, (receipt, submitted))) = under_way.next().await else { break };
            self.wallet.ledger.learn(ledger)?;
            is_silent |= matches!(
                submitted,
                Err(WalletError::NotFinal | WalletError::TooFew(_) | WalletError::NoRelay(_) | WalletError::NoBlock)
            );
            let outcome = self.outcome(&grant, &held, revoked, (receipt, submitted)).await?;
            let Revocable { id, study, name, verdict, .. } = grant;
            rows.push(EndingRow { grant: id, study, name, verdict, outcome });
            progress(rows.len(), count);
        }
        self.wallet.keep_light()?;
        Ok(rows)
    }

    async fn outcome(
        &mut self,
        grant: &Revocable,
        held: &Held,
        revoked: Revoked,
        came: Revocation,
    ) -> Result<EndOutcome, WalletError> {
        let settled = self.settle_revocation(grant, held, revoked, came).await;
        let receipt = self.revocation_receipt(grant.id)?;
        Ok(match (settled, receipt) {
            (Ok(height), receipt) => EndOutcome::Final { height, receipt },
            (Err(error @ WalletError::Vault(_)), _) => return Err(error),
            (Err(why), Some(receipt)) if !matches!(why, WalletError::Rejected(_)) => EndOutcome::Told { receipt, why },
            (Err(why), _) => EndOutcome::Waiting(why),
        })
    }
}

/// The live grants on each study, and at which height that was proven.
type LiveGrants = BTreeMap<StudyId, (Height, BTreeSet<GrantId>)>;

/// Whether somebody is called so, however it is typed.
pub(super) fn is_called(name: &str, asked: &str) -> bool {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    plain(name) == plain(asked)
}

#[cfg(test)]
mod tests {
    use super::is_called;

    #[test]
    fn a_name_is_meant_however_it_is_typed_and_no_part_of_one_is() {
        assert!(is_called("Dr  Rossi", " dr rossi "));
        for other in ["Dr Ross", "Rossi", "Dr Rossi ", "Dr Rossi jr"] {
            assert_eq!(is_called("Dr Rossi", other), other.trim() == "Dr Rossi", "{other}");
        }
        // Another letter that looks the same is another name.
        assert!(!is_called("Dr Rossi", "Dr R\u{43e}ssi"));
    }
}
