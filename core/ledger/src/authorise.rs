//! The gate: the one place where access is decided.
//!
//! A source asks [`authorise`] before it sends anything, and its sender takes nothing but the [`Authorisation`] that comes
//! back, which cannot be made elsewhere. While it sends, it asks again with [`Authorisation::renew`]. In doubt the answer is
//! no: a state that cannot be read, a head that is too old or that nobody else confirms, a clock that disagrees are refusals. The reason in [`Refused`] is for
//! the source's operator; whoever was refused is told only that.
//!
//! Checks come in the order of RULES §10: signature, freshness or allowance, leaf, live, commitment, scope,
//! status, seen revocations. Size comes first of all, in [`decode`](crate::encoding::decode). The signature and the
//! hello's own time are checked once; everything else is one function, for the first time and for every time after.

use alloc::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::confirm::{Confirmed, Unconfirmed};
use crate::domain::{self, Tag};
use crate::encoding::{Bytes, Text, Wire};
use crate::id::{
    ChainId, CredentialDigest, GrantId, HelloDigest, ManifestRoot, ReceiptDigest, SeriesId, SourceId, StudyId,
};
use crate::key::{Key, SecretKey, Signature, SignatureError};
use crate::state::{Head, ReadError, ReadRows as _, Rules, StateReader};
use crate::study::{Capacity, Deed, DelegateRole, Grave, LiveGrant, Standing, Study};
use crate::terms::{SeriesScope, Terms};
use crate::time::{BlockTime, Day, LocalTime, Timestamp};
use crate::transaction::{Action, Verified};

/// What whoever connects says first.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Hello {
    /// To which source, so that another cannot pass it on.
    pub source: SourceId,
    /// Which study is wanted.
    pub study: StudyId,
    /// By what right.
    pub claim: Claim,
    /// Who is acting, when an institution or a practice is the grantee.
    pub actor: Option<Actor>,
    /// Why, and with whom, if it is an emergency.
    pub emergency: Option<Emergency>,
    /// The receipt of an opening that broke off and is gone on with. Where the source does not let it go on, this is a
    /// new opening.
    pub resumes: Option<ReceiptDigest>,
    /// When, by the sender's clock.
    pub at: Timestamp,
}

/// What is said of an emergency.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Emergency {
    /// Why the patient could not be asked, in the words of who acts.
    pub reason: Text<256>,
    /// A second person who stands for it.
    pub second: Option<Actor>,
}

/// By what right a study is wanted.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[expect(clippy::large_enum_variant, reason = "there is one in a hello, and nearly always a grant's")]
pub enum Claim {
    /// It is one's own.
    Holder,
    /// It was granted, on these Terms.
    Grant {
        /// Which grant.
        grant: GrantId,
        /// What the grant commits to.
        terms: Terms,
    },
}

impl Claim {
    /// The Terms of the grant; none for the holder.
    #[must_use]
    pub const fn terms(&self) -> Option<&Terms> {
        match self {
            Self::Holder => None,
            Self::Grant { grant: _, terms } => Some(terms),
        }
    }

    /// The key that vouches for whoever signs each opening, if somebody has to.
    #[must_use]
    pub fn members_of(&self) -> Option<Key> {
        self.terms().and_then(Terms::members_of)
    }
}

/// The person who acts for a grantee.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Actor {
    /// The name, as it will stand in the receipt.
    pub name: Text<128>,
    /// The credential that says so, as its issuer signed it. No rule of the ledger reads it: a source's gate may, and the
    /// receipt keeps it.
    pub credential: Bytes<1024>,
}

impl Actor {
    /// The digest of the credential, as a receipt names it; none where none is shown.
    #[must_use]
    pub fn credential_digest(&self, chain: &ChainId) -> Option<CredentialDigest> {
        let shown = !self.credential.as_slice().is_empty();
        shown.then(|| CredentialDigest::from_bytes(domain::digest(Tag::CREDENTIAL_SHOWN, chain, &self.credential)))
    }
}

/// A hello with the signature of the key that the connection was made with.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedHello {
    /// What is said.
    pub hello: Hello,
    /// By whom: the remote key.
    pub signature: Signature,
    /// By the person who acts, with a key of their own.
    pub member: Option<MemberSignature>,
    /// By the second person, in an emergency.
    pub second: Option<MemberSignature>,
}

/// A person's signature under a hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MemberSignature {
    /// The person's own key, which their credential names.
    pub key: Key,
    /// The signature.
    pub signature: Signature,
}

impl SignedHello {
    /// The same, signed by the person who acts as well.
    #[must_use]
    pub fn with_member(self, chain: &ChainId, key: &SecretKey) -> Self {
        let member = Some(self.hello.sign_as_member(chain, key));
        Self { member, ..self }
    }

    /// The same, signed by the second person of an emergency as well.
    #[must_use]
    pub fn with_second(self, chain: &ChainId, key: &SecretKey) -> Self {
        let second = Some(self.hello.sign_as_member(chain, key));
        Self { second, ..self }
    }

    /// Its digest, as the receipt names it.
    #[must_use]
    pub fn digest(&self, chain: &ChainId) -> HelloDigest {
        HelloDigest::from_bytes(domain::digest(Tag::HELLO_DIGEST, chain, self))
    }
}

impl Wire for SignedHello {
    const NAME: &'static str = "a hello";
    const MAX_LEN: usize = 6 * 1024;
}

impl Hello {
    /// What the study's holder or somebody whom it was granted to says who acts for nobody else, and not in an
    /// emergency.
    #[must_use]
    pub const fn new(source: SourceId, study: StudyId, claim: Claim, at: Timestamp) -> Self {
        Self { source, study, claim, actor: None, emergency: None, resumes: None, at }
    }

    fn sign_as_member(&self, chain: &ChainId, key: &SecretKey) -> MemberSignature {
        let signature = key.sign(&domain::preimage(Tag::MEMBER, chain, self));
        MemberSignature { key: key.public(), signature }
    }

    /// Signs the hello with the key of the endpoint it will be said from.
    #[must_use]
    pub fn sign(self, chain: &ChainId, key: &SecretKey) -> SignedHello {
        let signature = key.sign(&domain::preimage(Tag::HELLO, chain, &self));
        SignedHello { hello: self, signature, member: None, second: None }
    }
}

/// What a source knows when it decides.
pub struct View<'a, S> {
    /// The state at its newest block.
    pub state: &'a S,
    /// Which source decides.
    pub source: SourceId,
    /// The latest time in any header that came with its certificate, whether its block is here yet or not. Never from a
    /// header that is only claimed: a false one would stop all serving.
    pub highest_seen: Timestamp,
    /// What the other sources said of the newest block and of the time, as far as it still holds at this moment
    /// ([`Confirmations::at`](crate::confirm::Confirmations::at)).
    pub confirmed: Result<Confirmed, Unconfirmed>,
    /// The revocations seen, as [`seen_revocation`] had them at the time, and not yet finally rejected.
    pub seen_revocations: &'a BTreeSet<SeenRevocation>,
}

/// Leave to fetch, from [`authorise`] or [`Authorisation::renew`] and from nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorisation {
    source: SourceId,
    study: StudyId,
    remote: Key,
    claim: Claim,
    revision: u32,
    manifest_root: ManifestRoot,
    fresh_until: Timestamp,
}

impl Authorisation {
    /// Which study.
    #[must_use]
    pub const fn study(&self) -> StudyId {
        self.study
    }

    /// Which endpoint.
    #[must_use]
    pub const fn remote(&self) -> Key {
        self.remote
    }

    /// Which grant; none for the holder.
    #[must_use]
    pub const fn grant(&self) -> Option<GrantId> {
        match self.claim {
            Claim::Holder => None,
            Claim::Grant { grant, terms: _ } => Some(grant),
        }
    }

    /// The Terms of the grant; none for the holder.
    #[must_use]
    pub const fn terms(&self) -> Option<&Terms> {
        self.claim.terms()
    }

    /// The last moment at which the head it was decided on is recent enough. A sender that is still sending renews it
    /// before then, on a newer head, or stops.
    #[must_use]
    pub const fn fresh_until(&self) -> Timestamp {
        self.fresh_until
    }

    /// When the grant ends, exclusive; the holder's right has no end of its own. A sender stops then.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.terms().map(|terms| terms.expires)
    }

    /// Whether a series may be sent.
    #[must_use]
    pub fn covers(&self, series: &SeriesId) -> bool {
        self.terms().is_none_or(|terms| terms.series.covers(series))
    }

    /// The revision and root that it was given for, if what later revisions brought is not included: of these, the instances that are still in the
    /// current revision may be sent.
    #[must_use]
    pub fn consented_to(&self) -> Option<(u32, ManifestRoot)> {
        self.terms().filter(|terms| !terms.later_revisions).map(|terms| (terms.revision, terms.manifest_root))
    }

    /// The study's revision and manifest root at the head on which it was decided.
    #[must_use]
    pub const fn current(&self) -> (u32, ManifestRoot) {
        (self.revision, self.manifest_root)
    }

    /// Decides again, on a newer view, for the same endpoint, study and right: all that [`authorise`] decides, but for the
    /// hello's signature and time, which were checked when the connection said it. On a refusal the sender stops at once.
    ///
    /// Only for the connection that it was given to, which is what still proves that `remote` is there.
    ///
    /// # Errors
    /// [`Refused`], in the order of the module's list; [`Refused::Signature`] and [`Refused::HelloTime`] never.
    pub fn renew<S: StateReader>(&self, view: &View<'_, S>, clock: LocalTime) -> Result<Self, Refused<S::Error>> {
        let Self { source, study, remote, claim, revision: _, manifest_root: _, fresh_until: _ } = self;
        let (rules, head) = (view.state.rules()?, view.state.head()?);
        if *source != view.source {
            return Err(Refused::OtherSource);
        }
        decide(view, (&rules, &head), clock, *remote, *study, claim)
    }
}

/// Why somebody was refused: for the source's operator, never for whoever was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused<E> {
    /// The state could not be read.
    #[error("the source cannot read its own state, and refuses everyone until it can")]
    Read(#[from] ReadError<E>),
    /// Said to another source.
    #[error("the hello was meant for another source: somebody passed it on")]
    OtherSource,
    /// Not signed by the key of the connection.
    #[error("the hello is not signed by the key of the connection: {0}")]
    Signature(SignatureError),
    /// Not signed by the person who is said to act.
    #[error("the hello is not signed by the person it names: {0}")]
    Member(SignatureError),
    /// Said at another time.
    #[error("the hello is {off_ms} ms off this source's clock: it is a replay, or a clock is wrong")]
    HelloTime {
        /// How far off.
        off_ms: u64,
    },
    /// Nobody confirms that the head is the newest.
    #[error(transparent)]
    Unconfirmed(Unconfirmed),
    /// This source's clock is wrong.
    #[error(
        "this source's clock is {behind_ms} ms behind that of the others: set it right; until then nobody is served"
    )]
    ClockBehind {
        /// How far behind.
        behind_ms: u64,
    },
    /// This source's clock is wrong.
    #[error(
        "this source's clock is {ahead_ms} ms ahead of that of the others: set it right; until then nobody is served"
    )]
    ClockAhead {
        /// How far ahead.
        ahead_ms: u64,
    },
    /// The ledger could not be reached for too long.
    #[error(
        "the newest block, or the others' word that it is the newest, is {age_ms} ms old; on these terms {bound_ms} ms is the most: the ledger cannot be reached"
    )]
    Stale {
        /// The age of what is known.
        age_ms: u64,
        /// The most it may be.
        bound_ms: u64,
    },
    /// Not on the ledger.
    #[error("no such study is on the ledger")]
    UnknownStudy,
    /// Somebody else's study.
    #[error("the study is another source's")]
    NotOurStudy,
    /// Not the holder.
    #[error("the key of the connection does not hold the study")]
    NotHolder,
    /// No such grant now.
    #[error("no such grant is live on the study: it was never made, was revoked, replaced or has ended")]
    NoGrant,
    /// Somebody else's grant.
    #[error("the grant is to another key than the connection's")]
    NotGrantee,
    /// Over by its day.
    #[error("the grant ended on {0}")]
    Over(Day),
    /// The delegate who granted is none any more.
    #[error("the grant was made by a delegate, and the delegation has ended")]
    DelegationOver,
    /// Other Terms.
    #[error("the terms are not those the grant commits to")]
    OtherTerms,
    /// Not yet.
    #[error("the grant begins only at {0}")]
    NotYet(Timestamp),
    /// Over to the millisecond.
    #[error("the grant ended at {0}")]
    Expired(Timestamp),
    /// The Terms and the ledger say different things about the end.
    #[error("the terms end at {expires}, which is not on the grant's last day before {expiry_day}")]
    ExpiryMismatch {
        /// By the Terms.
        expires: Timestamp,
        /// By the ledger.
        expiry_day: Day,
    },
    /// A care team's or emergency card's grant that is too long.
    #[error("the grant is by care team or emergency card and lasts longer than {0} ms")]
    NotBrief(u64),
    /// An emergency that is none, or a hidden one.
    #[error("the terms and the delegation disagree on whether this is an emergency")]
    Emergency,
    /// Nobody who may act.
    #[error("the terms ask that a person signs who shows a credential, and nobody did")]
    NoMember,
    /// An emergency without a reason, or a reason without an emergency.
    #[error(
        "an emergency is opened with a reason, by a person who signs for it and shows a credential; nothing else is"
    )]
    NoReason,
    /// No series at all.
    #[error("the terms name no series")]
    EmptyScope,
    /// A revision that does not exist, or was another one.
    #[error("the terms are about revision {0}, which the study does not have in that form")]
    Revision(u32),
    /// Not served.
    #[error("the study is {0}")]
    Status(Standing),
    /// Seen, though not yet in a block.
    #[error("a revocation of the grant was seen and binds before it is in a block")]
    RevocationSeen,
}

/// Decides whether `remote`, whose possession of its key the connection has proven, may fetch what `hello` asks for.
///
/// # Errors
/// [`Refused`], in the order of the module's list.
pub fn authorise<S: StateReader>(
    view: &View<'_, S>,
    clock: LocalTime,
    remote: Key,
    hello: &SignedHello,
) -> Result<Authorisation, Refused<S::Error>> {
    let SignedHello { hello: said, signature, member, second } = hello;
    let (rules, head) = (view.state.rules()?, view.state.head()?);

    // Signature. The hello's own time only keeps old ones from being used again.
    if said.source != view.source {
        return Err(Refused::OtherSource);
    }
    signature.verify(&remote, &domain::preimage(Tag::HELLO, &rules.chain, said)).map_err(Refused::Signature)?;
    for MemberSignature { key, signature } in [member, second].into_iter().flatten() {
        signature.verify(key, &domain::preimage(Tag::MEMBER, &rules.chain, said)).map_err(Refused::Member)?;
    }
    let off_ms = said.at.0.abs_diff(clock.0.0);
    if off_ms > rules.parameters.hello_window_ms {
        return Err(Refused::HelloTime { off_ms });
    }
    let authorisation = decide(view, (&rules, &head), clock, remote, said.study, &said.claim)?;
    check_who(&rules.chain, (remote, hello), authorisation.terms())?;
    Ok(authorisation)
}

/// Whether those who act are the ones that the Terms ask for. What their credentials are worth, the source's own gate
/// judges.
fn check_who<E>(
    chain: &ChainId,
    (remote, hello): (Key, &SignedHello),
    terms: Option<&Terms>,
) -> Result<(), Refused<E>> {
    let SignedHello { hello: Hello { actor, emergency, .. }, signature: _, member, second } = hello;
    let shows = |actor: &Option<Actor>| actor.as_ref().is_some_and(|actor| actor.credential_digest(chain).is_some());
    // The key of the connection has signed already, and is nobody besides.
    let is_besides = |member: &MemberSignature| member.key != remote;
    let acts = member.as_ref().is_some_and(is_besides) && shows(actor);
    if terms.is_some_and(|terms| terms.members_of().is_some()) && !acts {
        return Err(Refused::NoMember);
    }
    match emergency {
        None if terms.is_some_and(|terms| terms.emergency) || second.is_some() => Err(Refused::NoReason),
        None => Ok(()),
        Some(Emergency { reason, second: other }) => {
            let is_one = terms.is_some_and(|terms| terms.emergency) && !reason.as_str().trim().is_empty() && acts;
            // Two are two persons, each with a signature and a credential.
            let is_two = match (second, other) {
                (None, None) => true,
                (Some(one), Some(_)) => {
                    shows(other) && is_besides(one) && member.is_some_and(|member| member.key != one.key)
                }
                _ => false,
            };
            if is_one && is_two { Ok(()) } else { Err(Refused::NoReason) }
        }
    }
}

/// All that is decided by the view and the clock, and so again whenever they change.
fn decide<S: StateReader>(
    view: &View<'_, S>,
    (rules, head): (&Rules, &Head),
    clock: LocalTime,
    remote: Key,
    study_id: StudyId,
    claim: &Claim,
) -> Result<Authorisation, Refused<S::Error>> {
    let View { state, source, highest_seen: _, confirmed: _, seen_revocations } = view;
    let allowed_ms = match claim {
        Claim::Holder => 0,
        Claim::Grant { terms, .. } => terms.staleness_ms,
    };
    let Fresh { now, until: fresh_until } = check_freshness(view, (rules, head), clock, allowed_ms)?;

    let study = state.study(study_id)?.ok_or(Refused::UnknownStudy)?;
    if study.source != *source && state.keeper(&study)? != *source {
        return Err(Refused::NotOurStudy);
    }

    let (deed, seen) = match claim {
        Claim::Holder if study.holder == remote => (Deed::HolderFetch, false),
        Claim::Holder => return Err(Refused::NotHolder),
        Claim::Grant { grant, terms } => {
            let live = study.grants.find(grant).ok_or(Refused::NoGrant)?;
            check_grant(rules, study_id, &study, now, remote, (live, terms))?;
            let seen = [Capacity::Holder, Capacity::Delegate(study.holder), live.by]
                .into_iter()
                .any(|by| seen_revocations.contains(&(study_id, Grave { grant: *grant, by })));
            (Deed::GranteeFetch, seen)
        }
    };
    // A suspension lapses by block time alone: one's own fast clock must not end it.
    study.permits(deed, head.time).map_err(Refused::Status)?;
    if seen {
        return Err(Refused::RevocationSeen);
    }
    Ok(Authorisation {
        source: *source,
        study: study_id,
        remote,
        claim: claim.clone(),
        revision: study.revision,
        manifest_root: study.manifest_root,
        fresh_until,
    })
}

/// Until when the gate is open on this view to whoever has no allowance: the holder, and most who were granted something.
///
/// # Errors
/// Why it is closed.
pub fn open_until<S: StateReader>(view: &View<'_, S>, clock: LocalTime) -> Result<Timestamp, Refused<S::Error>> {
    let (rules, head) = (view.state.rules()?, view.state.head()?);
    check_freshness(view, (&rules, &head), clock, 0).map(|fresh| fresh.until)
}

/// What is known is recent enough.
struct Fresh {
    /// The moment to decide by: the latest of the own clock and what is agreed on (RULES §3 "Expiry").
    now: BlockTime,
    /// Until when, by the own clock.
    until: Timestamp,
}

/// Whether what is known is recent enough, by the order in RULES §10: confirmed, the clock right, not too old.
fn check_freshness<S: StateReader>(
    view: &View<'_, S>,
    (rules, head): (&Rules, &Head),
    clock: LocalTime,
    allowed_ms: u64,
) -> Result<Fresh, Refused<S::Error>> {
    let parameters = &rules.parameters;
    let Confirmed { height, age_ms, earliest, latest } = view.confirmed.map_err(Refused::Unconfirmed)?;
    if head.height < height {
        return Err(Refused::Unconfirmed(Unconfirmed::Behind { height }));
    }
    // A clock that is behind what others agreed on, or say, would make an old head look fresh, and one that is ahead lets
    // begin what has not begun.
    let agreed = head.time.timestamp().max(view.highest_seen).max(earliest);
    let (behind_ms, ahead_ms) = (agreed.since(clock.0), clock.0.since(latest));
    if behind_ms > parameters.clock_tolerance_ms {
        return Err(Refused::ClockBehind { behind_ms });
    }
    if ahead_ms > parameters.clock_tolerance_ms {
        return Err(Refused::ClockAhead { ahead_ms });
    }
    let now = clock.0.max(agreed);
    let (made, bound_ms) =
        (head.time.timestamp(), allowed_ms.min(parameters.max_staleness_ms).max(parameters.fresh_ms));
    let age_ms = now.since(made).max(age_ms);
    if age_ms > bound_ms {
        return Err(Refused::Stale { age_ms, bound_ms });
    }
    let until = clock.0.plus(bound_ms.saturating_sub(age_ms));
    Ok(Fresh { now: BlockTime(now), until })
}

/// Live, commitment, scope.
fn check_grant<E>(
    rules: &Rules,
    study_id: StudyId,
    study: &Study,
    now: BlockTime,
    remote: Key,
    (grant, terms): (&LiveGrant, &Terms),
) -> Result<(), Refused<E>> {
    if grant.grantee != remote {
        return Err(Refused::NotGrantee);
    }
    if !grant.is_live(now) {
        return Err(Refused::Over(grant.expiry_day));
    }
    if terms.commitment(&rules.chain, study_id, &remote) != grant.terms {
        return Err(Refused::OtherTerms);
    }
    if now.timestamp() < terms.not_before {
        return Err(Refused::NotYet(terms.not_before));
    }
    if now.timestamp() >= terms.expires {
        return Err(Refused::Expired(terms.expires));
    }
    if terms.expires.day_rounded_up() != grant.expiry_day {
        return Err(Refused::ExpiryMismatch { expires: terms.expires, expiry_day: grant.expiry_day });
    }
    check_delegation(rules, study, now, grant, terms)?;
    if matches!(&terms.series, SeriesScope::These(these) if these.is_empty()) {
        return Err(Refused::EmptyScope);
    }
    let same_root = terms.revision != study.revision || terms.manifest_root == study.manifest_root;
    if terms.revision > study.revision || !same_root {
        return Err(Refused::Revision(terms.revision));
    }
    Ok(())
}

/// A delegate's grant stands and falls with the delegation, and with what its role allows.
fn check_delegation<E>(
    rules: &Rules,
    study: &Study,
    now: BlockTime,
    grant: &LiveGrant,
    terms: &Terms,
) -> Result<(), Refused<E>> {
    let role = match grant.by {
        Capacity::Holder => None,
        Capacity::Delegate(key) => {
            let delegate = study.delegates.find(&key).filter(|delegate| delegate.is_live(now));
            Some(delegate.ok_or(Refused::DelegationOver)?.role)
        }
    };
    let brief_ms = rules.parameters.brief_grant_ms;
    if role.is_some_and(DelegateRole::grants_are_brief) && terms.expires.since(terms.not_before) > brief_ms {
        return Err(Refused::NotBrief(brief_ms));
    }
    // Emergency cards make emergency grants, and nothing else does: the review that must follow one can be neither
    // evaded nor forged.
    if terms.emergency != (role == Some(DelegateRole::Emergency)) {
        return Err(Refused::Emergency);
    }
    Ok(())
}

/// A revocation that was seen, in gossip or handed over directly: on which study, of which grant, in which capacity.
pub type SeenRevocation = (StudyId, Grave);

/// What a source remembers of a revocation from the moment it is seen, before it is in a block; nothing, if its signer
/// is neither the study's holder nor a delegate in the source's newest state (RULES §10). What is remembered binds also
/// when the study changes hands: until the grant ends, or the revocation is finally rejected.
///
/// # Errors
/// When the state cannot be read; the source then asks again before it serves the study.
pub fn seen_revocation<S: StateReader>(
    state: &S,
    envelope: &Verified,
) -> Result<Option<SeenRevocation>, ReadError<S::Error>> {
    let Action::Revoke(revoke) = &envelope.body().action else { return Ok(None) };
    if envelope.chain() != state.rules()?.chain {
        return Ok(None);
    }
    let (Some(study), head) = (state.study(revoke.study)?, state.head()?) else { return Ok(None) };
    let by = study.capacity(&revoke.revoker, head.time);
    Ok(by.map(|by| (revoke.study, Grave { grant: revoke.grant, by })))
}
