//! Grant: the holder, or a delegate in the holder's place, lets a grantee fetch a study until a day.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Act, Author, Context, Failed, StatelessError, StudyRefused, rule};
use crate::domain::Tag;
use crate::event::Event;
use crate::id::{ChainId, GrantId, RequestDigest, StudyId, TermsCommitment};
use crate::key::Key;
use crate::state::StateReader;
use crate::study::{Capacity, DayCounts, Deed, LiveGrant, MAX_DELEGATE_GRANTS, MAX_HOLDER_GRANTS, Powers, Study};
use crate::time::Day;

/// The action. Signed by `granter`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Grant {
    /// On which study.
    pub study: StudyId,
    /// The holder, or a delegate.
    pub granter: Key,
    /// Whose endpoint may fetch.
    pub grantee: Key,
    /// The first day on which it may no more.
    pub expiry_day: Day,
    /// To which Terms.
    pub terms: TermsCommitment,
    /// Which request it answers, or [`RequestDigest::NONE`].
    pub request: RequestDigest,
}

/// Why a Grant is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// See [`StudyRefused`].
    #[error(transparent)]
    Study(#[from] StudyRefused),
    /// To oneself.
    #[error("the grant is to its own granter")]
    ToGranter,
    /// Neither holder nor delegate.
    #[error("the signing key neither holds the study nor is a delegate of its holder now")]
    NotGranter,
    /// A delegate without the power.
    #[error("the delegate has no power to grant")]
    NoPower,
    /// It was revoked before it came.
    #[error("the grant was revoked before it arrived")]
    Buried,
    /// Over before it began.
    #[error("the grant has ended already: its expiry day {0} has begun")]
    Over(Day),
    /// Beyond the longest there is.
    #[error("the grant would last until {given}; the latest possible is {latest}")]
    TooLong {
        /// As signed.
        given: Day,
        /// The latest expiry day possible.
        latest: Day,
    },
    /// Beyond the delegation.
    #[error("a delegate's grant ends with the delegation, on {0} at the latest")]
    OutlivesDelegation(Day),
    /// There is one.
    #[error("this key has a live grant on the study already")]
    AlreadyGranted,
    /// No room.
    #[error("{0} grants are live on the study, the most there may be; revoke one first")]
    TooMany(usize),
    /// Too fast.
    #[error("{0} grants were made on the study today, the most there may be; the next is possible tomorrow")]
    TooOften(u16),
}

impl Act for Grant {
    const TAG: Tag = Tag::GRANT;
    type Refused = GrantError;

    fn signers(&self) -> Vec<Key> {
        Vec::from([self.granter])
    }

    fn author(&self) -> Author {
        Author::OnStudy(self.study, self.granter)
    }

    fn check_stateless(&self, _: &ChainId) -> Result<(), StatelessError> {
        let Self { study: _, granter, grantee, expiry_day: _, terms: _, request: _ } = self;
        if granter == grantee {
            return Err(GrantError::ToGranter.into());
        }
        grantee.check().map_err(|error| StatelessError::Key { role: "grantee", error })
    }

    fn execute<R: StateReader>(&self, context: &mut Context<'_, '_, R>) -> Result<(), Failed<Self::Refused, R::Error>> {
        use GrantError as Error;
        // The request's digest is for whoever asked, to find the answer by.
        let Self { study: study_id, granter, grantee, expiry_day, terms, request: _ } = self;

        let mut study = context.study_for::<Error>(*study_id, Deed::Grant)?;
        let by = study.capacity(granter, context.now).ok_or(Failed::Refused(Error::NotGranter))?;
        let id = GrantId::from(context.id);
        rule(!study.is_buried(id, granter, context.now), Error::Buried)?;
        self.check_expiry(context, &study, by)?;

        let replaced = study.grants.iter().find(|grant| grant.grantee == *grantee).copied();
        if let Some(replaced) = replaced {
            // A delegate's grant never keeps the holder from granting; everything else does.
            let gives_way = by == Capacity::Holder && matches!(replaced.by, Capacity::Delegate(_));
            rule(gives_way, Error::AlreadyGranted)?;
            study.grants.remove(&replaced.id);
        }
        check_room(&study, by)?;
        study.today = count(study.today, by, context)?;

        let grant = LiveGrant { id, grantee: *grantee, expiry_day: *expiry_day, terms: *terms, by };
        study.grants.insert(grant).map_err(|_| Failed::Refused(Error::TooMany(study.grants.len())))?;
        context.put_study(*study_id, study)?;
        if let Some(replaced) = replaced {
            context.events.push(Event::Replaced { study: *study_id, grant: replaced.id, by: id });
        }
        context.events.push(Event::Granted { study: *study_id, grant: id, grantee: *grantee });
        Ok(())
    }
}

impl Grant {
    fn check_expiry<R: StateReader>(
        &self,
        context: &Context<'_, '_, R>,
        study: &Study,
        by: Capacity,
    ) -> Result<(), Failed<GrantError, R::Error>> {
        let (now, parameters, given) = (context.now.timestamp(), &context.rules.parameters, self.expiry_day);
        rule(now < given.start(), GrantError::Over(given))?;
        let mut latest = now.day().plus(parameters.max_grant_days);
        if let Capacity::Delegate(key) = by
            && let Some(delegate) = study.delegates.find(&key)
        {
            rule(delegate.powers.include(Powers::GRANT), GrantError::NoPower)?;
            rule(given <= delegate.expiry_day, GrantError::OutlivesDelegation(delegate.expiry_day))?;
            if delegate.role.grants_are_brief() {
                latest = latest.min(now.plus(parameters.brief_grant_ms).day_rounded_up());
            }
        }
        rule(given <= latest, GrantError::TooLong { given, latest })
    }
}

/// The holder's grants and the delegates' have room of their own, so that neither takes the other's.
fn check_room<E>(study: &Study, by: Capacity) -> Result<(), Failed<GrantError, E>> {
    let of_holder = |grant: &&LiveGrant| grant.by == Capacity::Holder;
    let (live, most) = match by {
        Capacity::Holder => (study.grants.iter().filter(of_holder).count(), MAX_HOLDER_GRANTS),
        Capacity::Delegate(_) => (study.grants.iter().filter(|grant| !of_holder(grant)).count(), MAX_DELEGATE_GRANTS),
    };
    rule(live < most, GrantError::TooMany(most))
}

/// Counts the grant among those of its day.
fn count<R: StateReader>(
    before: DayCounts,
    by: Capacity,
    context: &Context<'_, '_, R>,
) -> Result<DayCounts, Failed<GrantError, R::Error>> {
    let (today, parameters) = (context.now.timestamp().day(), &context.rules.parameters);
    let mut counts = before.on(today);
    let (count, most) = match by {
        Capacity::Holder => (&mut counts.holder_grants, parameters.holder_grants_per_day),
        Capacity::Delegate(_) => (&mut counts.delegate_grants, parameters.delegate_grants_per_day),
    };
    rule(*count < most, GrantError::TooOften(most))?;
    *count = count.saturating_add(1);
    Ok(counts)
}
