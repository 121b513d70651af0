//! The wallet, and what each command does with it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use clavicle_ledger::id::StudyId;
use clavicle_manifest::Comparison;
use clavicle_network::transfer::{BoxFuture, FetchError};
use clavicle_wallet::WalletError;
use clavicle_wallet::cache::Images;
use clavicle_wallet::download::{Control, Downloaded, StudyFetch};
use clavicle_wallet::ledger::Woken;
use clavicle_wallet::objection::Objection;
use clavicle_wallet::patient::{Found, Moved, OwnStudy, Patient, Shared, VetoRow};
use clavicle_wallet::recipient::{ActingMember, CopyState, FoundAgain, Granted, Recipient};
use tokio::time::timeout;

use crate::command::{
    Command, Done, FoundGrants, FoundStudy, InboxRead, MoveOutcome, MovedStudies, OpenStudy, RevokedGrant, SharedNews,
    WhoHas,
};
use crate::invitation::{AnswerRow, InvitationRow};
use crate::person::Person;
use crate::state::{State, of_patient, of_recipient};
use crate::trouble::Trouble;

/// How long other devices are told of what was just done; else the next time.
const SOON: Duration = Duration::from_secs(5);

/// Whose wallet it is, and the wallet.
pub(crate) enum Owner {
    Patient(Patient),
    Recipient(Recipient),
}

/// What a command came to, as far as the wallet is concerned.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub(crate) enum Step {
    Done(Done),
    /// From here on it goes on by itself.
    Fetch(StudyFetch),
}

/// A fetch that failed, and why: to be looked into before it is begun again.
pub(crate) type Failed = (StudyFetch, WalletError);

impl Owner {
    /// What is shown of it; what cannot be read is not there.
    pub(crate) fn state(&self) -> State {
        let (state, person) = match self {
            Self::Patient(patient) => (of_patient(patient), Person::Patient),
            Self::Recipient(recipient) => (of_recipient(recipient), Person::Recipient),
        };
        state.unwrap_or_else(|_| State { person, ..State::default() })
    }

    /// Finds the way back, if the wallet was away for too long.
    pub(crate) async fn wake(&mut self) -> Result<Option<Woken>, WalletError> {
        match self {
            Self::Patient(patient) => patient.wake().await,
            Self::Recipient(recipient) => recipient.wake().await,
        }
    }

    /// Does a command, or begins it.
    pub(crate) fn work<'a>(
        &'a mut self,
        command: &'a Command,
        failed: Option<Failed>,
        control: &'a Control,
    ) -> BoxFuture<'a, Result<Step, WalletError>> {
        match self {
            Self::Patient(patient) => Box::pin(of_a_patient(patient, command, failed, control)),
            Self::Recipient(recipient) => Box::pin(of_a_recipient(recipient, command, failed, control)),
        }
    }
}

impl Owner {
    /// What a fetch that came to its end is to whoever asked for it.
    pub(crate) fn fetched(
        &self,
        command: &Command,
        fetched: Result<Downloaded, WalletError>,
    ) -> Result<Done, WalletError> {
        match (self, command) {
            (Self::Patient(patient), Command::OpenOwn(of)) => {
                let study = patient.study(&of.study.to_string())?;
                Ok(Done::OpenOwn(own_opened(patient, &study, Brought::after(fetched))?))
            }
            (Self::Recipient(recipient), Command::OpenGranted(of)) => {
                let granted = recipient.granted(&of.begin)?;
                Ok(Done::OpenGranted(granted_opened(recipient, &granted, Brought::after(fetched))?))
            }
            (Self::Recipient(_), Command::FetchAsMember(_)) => fetched.map(Done::FetchAsMember),
            (Self::Recipient(_), _) => fetched.map(Done::FetchGranted),
            (Self::Patient(_), _) => fetched.map(Done::FetchOwn),
        }
    }
}

/// What is known of a study's images besides those that are there.
#[derive(Default)]
struct Brought {
    fetched: Option<Comparison>,
    not_asked: Option<WalletError>,
}

impl Brought {
    fn after(fetched: Result<Downloaded, WalletError>) -> Self {
        match fetched {
            Ok(fetched) => Self { fetched: Some(fetched.comparison), not_asked: None },
            Err(error) => Self { fetched: None, not_asked: Some(error) },
        }
    }

    /// The images, or why there are none: that nothing could be fetched says more than that nothing was.
    fn with(self, images: Result<Images, WalletError>) -> Result<(Images, Self), WalletError> {
        match (images, self) {
            (Err(WalletError::NotFetched), Self { not_asked: Some(error), .. }) => Err(error),
            (images, brought) => Ok((images?, brought)),
        }
    }

    /// That the source refuses it, and tells nobody why, speaks against using it, too.
    fn refused(&self) -> Option<Objection> {
        matches!(self.not_asked, Some(WalletError::Fetch(FetchError::Refused(_)))).then_some(Objection::Refused)
    }
}

fn own_opened(patient: &Patient, study: &OwnStudy, brought: Brought) -> Result<OpenStudy, WalletError> {
    let (images, brought) = brought.with(patient.images(study))?;
    let objection = match patient.objection(study)? {
        None => patient.objection_to_copy(study)?,
        objection => objection,
    };
    Ok(OpenStudy {
        study: study.id,
        person: Person::Patient,
        images,
        about: patient.about(study.id)?,
        objection: objection.or(brought.refused()),
        asked_at: patient.asked_at(study)?,
        fetched: brought.fetched,
        not_asked: brought.not_asked.map(Trouble::from),
    })
}

fn granted_opened(recipient: &Recipient, granted: &Granted, brought: Brought) -> Result<OpenStudy, WalletError> {
    let study = granted.received.study;
    let (images, brought) = brought.with(recipient.images(study))?;
    let objection = match recipient.objection(granted)? {
        None => recipient.objection_to_copy(study)?,
        objection => objection,
    };
    let objection = objection.or(brought.refused()).or(recipient.objection_to_keeping(granted));
    Ok(OpenStudy {
        study,
        person: Person::Recipient,
        images,
        about: recipient.about(granted)?,
        objection,
        asked_at: recipient.asked_at(study)?,
        fetched: brought.fetched,
        not_asked: brought.not_asked.map(Trouble::from),
    })
}

/// What says how far something is.
fn teller(control: &Control) -> impl Fn(usize, usize) + Send + Sync + use<> {
    let control = control.clone();
    move |done, all| control.tell(done, all)
}

async fn of_a_patient(
    patient: &mut Patient,
    command: &Command,
    failed: Option<Failed>,
    control: &Control,
) -> Result<Step, WalletError> {
    let tell = teller(control);
    let own = |patient: &Patient, study: StudyId| patient.study(&study.to_string());
    let done = match command {
        Command::PickUp(of) => {
            if of.only_here {
                patient.keep_pickup_here(&of.code)?;
            }
            Done::PickUp(patient.pick_up(&of.code, &of.answer).await?)
        }
        Command::ShareDevices(_) => Done::ShareDevices(shared(Box::pin(patient.share()).await?)),
        Command::NameDevice(of) => Done::NameDevice(patient.name_device(of.device, &of.name)?),
        Command::EndDevice(of) => Done::EndDevice(patient.end_device(of.device)?),
        Command::FindStudies(of) => {
            if let Some(checkpoint) = &of.checkpoint {
                patient.renew(checkpoint).await?;
            }
            Done::FindStudies(patient.find(tell).await?.into_iter().map(found).collect())
        }
        Command::AskStudies(_) => {
            let not_asked = patient.look(tell).await?;
            Done::AskStudies(not_asked.map(Trouble::from))
        }
        Command::GrantStudy(of) => {
            let study = own(patient, of.study)?;
            Done::GrantStudy(patient.grant(&study, &of.card, &of.request, of.all_the_same).await?)
        }
        Command::SignGrant(of) => {
            let study = own(patient, of.study)?;
            let signed = patient.sign_grant_offline(&study, &of.card, &of.request, of.all_the_same).await?;
            Done::SignGrant(Box::new(signed))
        }
        Command::SubmitGrant(of) => Done::SubmitGrant(patient.submit_grant(&of.code).await?),
        Command::Invite(of) => Done::Invite(InvitationRow::of(&patient.invite(of.way, of.minutes, tell).await?)),
        Command::LookForAnswer(of) => {
            Done::LookForAnswer(InvitationRow::of(&patient.look_for_answer(of.invitation).await?))
        }
        Command::AwaitInvitation(of) => Done::AwaitInvitation(patient.wait_for_answer(of.invitation).await?),
        Command::PickWords(of) => Done::PickWords(InvitationRow::of(&patient.pick(of.invitation, of.words).await?)),
        Command::GrantInvited(of) => {
            let study = own(patient, of.study)?;
            Done::GrantInvited(patient.grant_invited(of.invitation, &study, &of.request).await?)
        }
        Command::LookAtCard(of) => Done::LookAtCard(patient.introduce(&of.card).await?),
        Command::GrantStudies(of) => {
            let ids: BTreeSet<StudyId> = of.studies.iter().copied().collect();
            let studies = ids.into_iter().map(|id| own(patient, id)).collect::<Result<Vec<_>, _>>()?;
            let done = patient.grant_each(&studies, &of.card, (&of.request, of.all_the_same), tell).await?;
            Done::GrantStudies(done.into_iter().map(|(granted, why)| (granted, why.map(Trouble::from))).collect())
        }
        Command::SpreadGrants(of) => {
            let ids: BTreeSet<StudyId> = of.studies.iter().copied().collect();
            let studies = ids.into_iter().map(|id| own(patient, id)).collect::<Result<Vec<_>, _>>()?;
            let how = (&of.request, of.all_the_same);
            let done = patient.grant_spread(&studies, &of.card, how, of.over_ms).await?;
            Done::SpreadGrants(done.into_iter().map(|(study, why)| (study, why.map(Trouble::from))).collect())
        }
        Command::ChangeGrant(of) => {
            Done::ChangeGrant(Box::new(patient.change_grant(&of.grant, &of.change, of.all_the_same).await?))
        }
        Command::SetCaps(of) => Done::SetCaps(match of.cap {
            Some(cap) => patient.set_caps(cap).await?,
            None => patient.caps()?,
        }),
        Command::ListSeries(of) => Done::ListSeries(patient.series(&own(patient, of.study)?).await?),
        Command::AskWho(of) => {
            let study = own(patient, of.study)?;
            patient.bring_in().await?;
            let access = patient.who(&study).await?;
            // Who has access is proven by the ledger, whether the hospital answers or not.
            let not_asked = patient.look_up(&study).await.err().map(Trouble::from);
            Done::AskWho(WhoHas { access, looks: patient.looks(&study)?, not_asked })
        }
        Command::BringIn(_) => Done::BringIn(patient.bring_in().await?),
        Command::RevokeGrant(of) => {
            let grant = patient.revocable(&of.grant).await?;
            let planned = patient.planned()?.len();
            let height = patient.revoke(&grant).await?;
            let stopped = planned.saturating_sub(patient.planned()?.len());
            let name = grant.name.as_ref().map(ToString::to_string);
            let receipt = patient.revocation_receipt(grant.id)?;
            let verdict = grant.verdict.clone();
            Done::RevokeGrant(RevokedGrant { grant: grant.id, name, verdict, height, receipt, stopped })
        }
        Command::EndGrants(of) => Done::EndGrants(patient.end(&of.whose, tell).await?.map_errors(Trouble::from)),
        Command::FetchOwn(of) => {
            let study = own(patient, of.study)?;
            return Ok(Step::Fetch(begin_own(patient, &study, failed, of.out.as_deref()).await?));
        }
        Command::VetoRecoveries(of) => Done::VetoRecoveries(vetoed(patient.veto(of.study).await?)),
        Command::RecoverStudies(of) => Done::RecoverStudies(patient.recover(&of.code, &of.answer).await?),
        Command::ShowNewWords(of) => Done::ShowNewWords(patient.new_words(&*of.keys)?),
        Command::TakeNewWords(of) => Done::TakeNewWords(patient.take_new_words(&of.words)?),
        Command::MoveStudies(of) => Done::MoveStudies(moved(patient.move_studies(of.keep_grants, tell).await?)),
        Command::CheckWords(of) => Done::CheckWords(patient.check_words(&of.words)?),
        Command::ShowWords(of) => Done::ShowWords(patient.words(&*of.keys)?),
        Command::AddKeys(of) => Done::AddKeys(patient.add_keys(&*of.keys)?),
        Command::OpenOwn(of) => {
            let study = own(patient, of.study)?;
            match begin_own(patient, &study, failed, None).await {
                Ok(fetch) => return Ok(Step::Fetch(fetch)),
                Err(error) => Done::OpenOwn(own_opened(patient, &study, Brought::after(Err(error)))?),
            }
        }
        Command::NoteUse(of) => Done::NoteUse(patient.note(&own(patient, of.study)?, &of.what, &of.why)?),
        Command::ForgetCopy(of) => Done::ForgetCopy(patient.forget(&own(patient, of.study)?)?),
        Command::ShowCard(_)
        | Command::AnswerInvitation(_)
        | Command::LookForOpening(_)
        | Command::RequestCredential(_)
        | Command::ShowOrganisation(_)
        | Command::RequestMembership(_)
        | Command::TakeWord(_)
        | Command::VouchForMember(_)
        | Command::ListVouched(_)
        | Command::EndVouching(_)
        | Command::AskStanding(_)
        | Command::ReadInbox(_)
        | Command::FindGranted(_)
        | Command::FetchCredential(_)
        | Command::FetchGranted(_)
        | Command::FetchAsMember(_)
        | Command::OpenGranted(_) => {
            return Err(WalletError::OtherKind { is: "patient", needed: "recipient" });
        }
    };
    if is_to_be_told(&done) {
        tell_sisters(patient).await?;
    }
    Ok(Step::Done(done))
}

/// Whether other devices cannot find out by themselves what was done.
const fn is_to_be_told(done: &Done) -> bool {
    matches!(
        done,
        Done::PickUp(_)
            | Done::RecoverStudies(_)
            | Done::GrantStudy(_)
            | Done::GrantStudies(_)
            | Done::GrantInvited(_)
            | Done::AskStudies(_)
            | Done::NameDevice(_)
            | Done::EndDevice(_)
    )
}

/// Tells other devices, where there are any. What was done is done, whether they are told now or the next time.
async fn tell_sisters(patient: &mut Patient) -> Result<(), WalletError> {
    if !patient.has_sisters()? {
        return Ok(());
    }
    match timeout(SOON, Box::pin(patient.share())).await {
        Ok(Err(error @ WalletError::Vault(_))) => Err(error),
        _ => Ok(()),
    }
}

fn shared(Shared { heard, told, waits, not_told }: Shared) -> SharedNews {
    let not_told = not_told.into_iter().map(|(study, error)| (study, error.into())).collect();
    SharedNews { heard, told, waits, not_told }
}

fn vetoed(rows: Vec<VetoRow>) -> Vec<VetoRow<Trouble>> {
    let row = |VetoRow { study, recovery, ended }| VetoRow { study, recovery, ended: ended.map_err(Trouble::from) };
    rows.into_iter().map(row).collect()
}

fn moved(moved: Moved) -> MovedStudies {
    let outcome = |moved| match moved {
        Ok(height) => MoveOutcome::Moved(height),
        Err(WalletError::OtherHolder) => MoveOutcome::OtherHolder,
        Err(error) => MoveOutcome::Stays(error.into()),
    };
    MovedStudies {
        rows: moved.rows.into_iter().map(|(study, moved)| (study, outcome(moved))).collect(),
        not_searched: moved.not_searched.map(Trouble::from),
        refused: moved.refused,
    }
}

fn found(found: Found) -> FoundStudy {
    match found {
        Found::New(id) => FoundStudy::New(id),
        Found::Known(id) => FoundStudy::Known(id),
        Found::NotTold(id, error) => FoundStudy::NotTold(id, error.into()),
    }
}

/// Begins a fetch of one's own study, once more where it may be.
async fn begin_own(
    patient: &mut Patient,
    study: &OwnStudy,
    failed: Option<Failed>,
    out: Option<&Path>,
) -> Result<StudyFetch, WalletError> {
    if let Some((fetch, error)) = failed {
        patient.fetch_failed(study, &fetch, error).await?;
    }
    patient.begin_fetch(study, out).await
}

async fn of_a_recipient(
    recipient: &mut Recipient,
    command: &Command,
    failed: Option<Failed>,
    control: &Control,
) -> Result<Step, WalletError> {
    Ok(Step::Done(match command {
        Command::ShowCard(of) => Done::ShowCard(recipient.card(of.keys, of.days, &of.wish, teller(control)).await?),
        Command::SubmitGrant(of) => Done::SubmitGrant(recipient.submit_grant(&of.code).await?),
        Command::AnswerInvitation(of) => {
            let made = recipient.answer(&of.invitation, of.keys, of.days, &of.wish, teller(control)).await?;
            Done::AnswerInvitation(AnswerRow::of(&made))
        }
        Command::LookForOpening(of) => {
            Done::LookForOpening(AnswerRow::of(&recipient.look_for_opening(of.invitation).await?))
        }
        Command::AwaitInvitation(of) => Done::AwaitInvitation(recipient.wait_for_opening(of.invitation).await?),
        Command::RequestCredential(of) => Done::RequestCredential(recipient.request_credential(&of.hospital).await?),
        Command::ShowOrganisation(_) => Done::ShowOrganisation(Box::new(recipient.organisation().await?)),
        Command::RequestMembership(of) => {
            Done::RequestMembership(recipient.request_membership(&of.organisation).await?)
        }
        Command::TakeWord(of) => Done::TakeWord(recipient.take_word(&of.word).await?),
        Command::VouchForMember(of) => {
            let (word, is_left) = recipient.vouch(&of.request, (of.role, &of.specialty), of.days).await?;
            Done::VouchForMember((Box::new(word), is_left))
        }
        Command::ListVouched(_) => Done::ListVouched(recipient.vouched()?),
        Command::EndVouching(of) => Done::EndVouching(recipient.end_vouching(of.number).await?),
        Command::AskStanding(_) => Done::AskStanding(recipient.standing().await?),
        Command::FindGranted(_) => {
            let FoundAgain { cards, granted, unreadable, devices, unread } =
                Box::pin(recipient.find(teller(control))).await?;
            let granted = granted.iter().map(|granted| granted.id).collect();
            Done::FindGranted(FoundGrants { cards, granted, unreadable, devices, unread })
        }
        Command::FetchCredential(of) => Done::FetchCredential(recipient.fetch_credential(&of.hospital).await?),
        Command::ReadInbox(_) => Done::ReadInbox(read_inbox(recipient, control).await?),
        Command::FetchGranted(of) => {
            let granted = recipient.granted(&of.grant.to_string())?;
            return Ok(Step::Fetch(begin_granted(recipient, &granted, failed, (of.out.as_deref(), None)).await?));
        }
        Command::FetchAsMember(of) => {
            let granted = recipient.granted(&of.grant.to_string())?;
            let how = (of.out.as_deref(), Some(&of.member));
            return Ok(Step::Fetch(begin_granted(recipient, &granted, failed, how).await?));
        }
        Command::CheckWords(of) => Done::CheckWords(recipient.check_words(&of.words)?),
        Command::ShowWords(of) => Done::ShowWords(recipient.words(&*of.keys)?),
        Command::AddKeys(of) => Done::AddKeys(recipient.add_keys(&*of.keys)?),
        Command::OpenGranted(of) => {
            let (granted, brought) = if failed.is_some() {
                (recipient.granted(&of.begin)?, None)
            } else {
                granted_and_here(recipient, &of.begin).await?
            };
            let brought = match brought {
                Some(brought) => brought,
                None => match begin_granted(recipient, &granted, failed, (None, None)).await {
                    Ok(fetch) => return Ok(Step::Fetch(fetch)),
                    Err(error) => Brought::after(Err(error)),
                },
            };
            Done::OpenGranted(granted_opened(recipient, &granted, brought)?)
        }
        Command::NoteUse(of) => Done::NoteUse(recipient.note(of.study, &of.what, &of.why)?),
        Command::ForgetCopy(of) => Done::ForgetCopy(recipient.forget(of.study)?),
        Command::PickUp(_)
        | Command::ShareDevices(_)
        | Command::NameDevice(_)
        | Command::EndDevice(_)
        | Command::FindStudies(_)
        | Command::AskStudies(_)
        | Command::GrantStudy(_)
        | Command::GrantStudies(_)
        | Command::ChangeGrant(_)
        | Command::SpreadGrants(_)
        | Command::SetCaps(_)
        | Command::SignGrant(_)
        | Command::Invite(_)
        | Command::LookForAnswer(_)
        | Command::PickWords(_)
        | Command::GrantInvited(_)
        | Command::LookAtCard(_)
        | Command::ListSeries(_)
        | Command::AskWho(_)
        | Command::BringIn(_)
        | Command::RevokeGrant(_)
        | Command::EndGrants(_)
        | Command::VetoRecoveries(_)
        | Command::ShowNewWords(_)
        | Command::TakeNewWords(_)
        | Command::MoveStudies(_)
        | Command::RecoverStudies(_)
        | Command::FetchOwn(_)
        | Command::OpenOwn(_) => {
            return Err(WalletError::OtherKind { is: "recipient", needed: "patient" });
        }
    }))
}

/// Begins a fetch of what was granted, once more where it may be.
async fn begin_granted(
    recipient: &mut Recipient,
    granted: &Granted,
    failed: Option<Failed>,
    (out, member): (Option<&Path>, Option<&ActingMember>),
) -> Result<StudyFetch, WalletError> {
    if let Some((fetch, error)) = failed {
        recipient.fetch_failed(granted, &fetch, error).await?;
    }
    recipient.begin_fetch_as(granted, out, member).await
}

/// What was granted, and what is there of it. Before it is said that nothing was granted, or not any more, what came
/// since is read: it may have been granted anew.
async fn granted_and_here(recipient: &mut Recipient, begin: &str) -> Result<(Granted, Option<Brought>), WalletError> {
    let first = as_known(recipient, begin).await;
    let may_have_come = match &first {
        Ok((granted, _)) => recipient.objection(granted)?.is_some(),
        Err(error) => matches!(error.code(), "not_found" | "ended"),
    };
    if may_have_come && recipient.read_mail(|_, _| {}).await.is_ok_and(|mail| !mail.new.is_empty()) {
        return as_known(recipient, begin).await;
    }
    first
}

async fn as_known(recipient: &mut Recipient, begin: &str) -> Result<(Granted, Option<Brought>), WalletError> {
    let granted = recipient.granted_now(begin).await?;
    let brought = is_here(recipient, &granted).await?;
    Ok((granted, brought))
}

/// Whether all of a study is here as it is by the ledger, or as far as that can be asked; nothing when it is to be
/// fetched.
async fn is_here(recipient: &mut Recipient, granted: &Granted) -> Result<Option<Brought>, WalletError> {
    let study = granted.received.study;
    // What another grant brought may be less than this one allows; what this one brought is all that its source offers.
    let scope = &granted.received.terms.series;
    let was_opened = recipient.opening(granted)?.is_some_and(|opening| opening.is_finished);
    if !recipient.images(study).is_ok_and(|images| images.is_whole() && (was_opened || images.covers(scope))) {
        return Ok(None);
    }
    match recipient.ask(study).await {
        Err(error @ WalletError::Vault(_)) => Err(error),
        Err(error) => Ok(Some(Brought::after(Err(error)))),
        Ok(()) => Ok((recipient.copy(study)? == Some(CopyState::Current)).then(Brought::default)),
    }
}

/// Reads what came, and asks the ledger what has become of all of it that may still be of use.
async fn read_inbox(recipient: &mut Recipient, control: &Control) -> Result<InboxRead, WalletError> {
    let mail = recipient.read_mail(teller(control)).await?;
    let mut studies = BTreeSet::new();
    for granted in recipient.inbox()? {
        let study = granted.received.study;
        // What has ended by itself, and left nothing, is not asked about.
        if !matches!(recipient.objection(&granted)?, Some(Objection::GrantOver(_))) || recipient.has_copy(study)? {
            studies.insert(study);
        }
    }
    let studies: Vec<StudyId> = studies.into_iter().collect();
    let (mut unknown, mut not_asked) = (Vec::new(), None);
    for (study, error) in recipient.ask_each(&studies, teller(control)).await? {
        match error {
            // That there is no such study is what it says of this one, and of no other.
            WalletError::NotOnLedger => unknown.push(study),
            error => not_asked = not_asked.or(Some(Trouble::from(error))),
        }
    }
    let new = mail.new.iter().map(|granted| granted.id).collect();
    Ok(InboxRead { new, silent: mail.silent, unread: mail.unread, mailboxes: mail.all, not_asked, unknown })
}
