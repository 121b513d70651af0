//! What a state becomes: pure, so that each step can be looked at by itself.

use crate::action::Action;
use crate::page::Part;
use crate::screen::Screen;
use crate::sentence::Private;
use crate::show::{consent, draw, first};
use crate::state::{Draft, Found, Input, LOCKS_AFTER_MS, MOST_BEHIND, MOST_TYPED, State, UnderWay};
use crate::trouble::{Trouble, TroubleKind};
use crate::wallet::{Handle, Mode, Pending, Standing, Study};
use crate::work::{By, DeviceLock, Did, Effect, Event, Job, Misfit, Over, Seen, Ticket};

/// How much is under way at once.
const MOST_UNDER_WAY: usize = 8;
/// How many studies are granted at once: a card has so many keys.
const MOST_STUDIES: usize = 8;

/// What a state becomes, and what is to be done for it. `now` is the telephone's time, in milliseconds since 1970 UTC. A press that the state's page
/// does not have changes nothing.
#[must_use]
pub fn reduce(state: &State, now: u64, input: Input) -> (State, Vec<Effect>) {
    let mut next = state.clone();
    next.now = now;
    let mut effects = match input {
        Input::Press(action) if draw(state).actions.contains(&action) => next.press(action),
        Input::Press(_) => Vec::new(),
        Input::Typed { field, text } => {
            next.take_typed(field, text);
            Vec::new()
        }
        Input::Event(event) => next.event(event),
    };
    effects.extend(next.look_at_pending());
    (next, effects)
}

impl State {
    fn press(&mut self, action: Action) -> Vec<Effect> {
        match action {
            Action::Back => self.back(),
            Action::Stop => self.stop(),
            Action::Home => self.home(),
            Action::Leave | Action::SystemSettings | Action::ChoosePicture | Action::SendLink => Vec::new(),
            Action::Again => self.again(),
            Action::Next => self.next_step(),
            Action::Begin(mode) => {
                self.mode = mode;
                self.draft = Draft::default();
                self.go(if mode == Mode::Patient { Screen::Passphrase { is_weak: false } } else { Screen::Name })
            }
            Action::Restore => {
                (self.mode, self.draft) = (Mode::Patient, Draft { is_restore: true, ..Draft::default() });
                self.go(Screen::RestoreWords { was_wrong: false })
            }
            Action::UseDevice => match self.screen {
                Screen::Locked { .. } => self.begin(Job::Open { by: By::Device }),
                _ => self.begin(Job::KeepOnDevice),
            },
            Action::WithoutDevice => match self.screen {
                Screen::Lock => self.begin(Job::ForgetDevice),
                _ => self.after_device(),
            },
            Action::UsePassphrase => match self.screen {
                Screen::Locked { wrong: 0, by_passphrase: false } if self.device == DeviceLock::Kept => {
                    self.replace(Screen::Locked { wrong: 0, by_passphrase: true })
                }
                _ => self.begin(Job::Open { by: By::Passphrase }),
            },
            Action::ShowWords => {
                let by = if self.device == DeviceLock::Kept { By::Device } else { By::Passphrase };
                match self.screen {
                    Screen::WordsHidden { are_new: true } => self.begin(Job::ShowNewWords { by }),
                    _ => self.begin(Job::ShowWords { by }),
                }
            }
            Action::WroteDown => {
                let Screen::WordsShown { are_new, asked } = self.screen else { return Vec::new() };
                let mut effects = vec![Effect::ForgetSecrets];
                // They were told before: they were only looked at.
                if asked == [0; 3] {
                    effects.extend(self.home());
                    return effects;
                }
                effects.extend(self.replace(Screen::WordsCheck { are_new, asked, was_wrong: false }));
                effects
            }
            Action::Later => self.home(),
            Action::OpenWords => {
                let are_new = matches!(self.screen, Screen::WordsCheck { are_new: true, .. });
                self.go(Screen::WordsHidden { are_new })
            }
            Action::Scan => {
                self.draft.code = None;
                self.go(Screen::Scan { torch: false })
            }
            Action::Torch => match self.screen {
                Screen::Scan { torch } => self.replace(Screen::Scan { torch: !torch }),
                _ => Vec::new(),
            },
            Action::Paste => self.go(Screen::Paste),
            Action::GiveBack => match self.screen {
                Screen::PickUpAnswer { code, asks_birth_date, .. } => {
                    self.replace(Screen::PickUpAnswer { code, asks_birth_date, is_recovery: true })
                }
                _ => Vec::new(),
            },
            Action::OpenStudy(study) => self.go(Screen::Study { study }),
            Action::Look(study) => self.go(Screen::AskWhen { study }),
            Action::LookNow(study) => self.begin(Job::Look { study }),
            Action::WithDoctor => self.back(),
            Action::Pause => self.pause(true),
            Action::Resume => self.pause(false),
            Action::PictureBefore => self.turn(|at| at.saturating_sub(1)),
            Action::PictureNext => self.turn(|at| at.saturating_add(1)),
            Action::OpenReport(at) => self.go(Screen::Report { at }),
            Action::ForgetCopy(study) => self.go(Screen::ForgetSure { study }),
            Action::ForgetYes(of) => self.begin(Job::Forget { of }),
            Action::OpenExport(study) => self.go(Screen::Export { study }),
            Action::Export(study) => self.begin(Job::Export { study }),
            _ => self.press_consent(action),
        }
    }

    fn press_consent(&mut self, action: Action) -> Vec<Effect> {
        match action {
            Action::Share(study) => {
                self.draft = Draft { studies: vec![study], ..self.fresh() };
                self.go(Screen::ShareHow)
            }
            Action::InviteHere | Action::InviteFar => {
                let from_afar = action == Action::InviteFar;
                let studies = core::mem::take(&mut self.draft.studies);
                self.draft = Draft { studies, from_afar, ..self.fresh() };
                self.begin(Job::Invite { from_afar })
            }
            Action::AllTheSame => {
                self.draft.all_the_same = true;
                self.next_step()
            }
            Action::Choose(study) => {
                let chosen = &mut self.draft.studies;
                if let Some(at) = chosen.iter().position(|one| *one == study) {
                    chosen.remove(at);
                } else if self.draft.is_narrow {
                    *chosen = vec![study];
                } else if chosen.len() < MOST_STUDIES {
                    chosen.push(study);
                }
                Vec::new()
            }
            Action::ChooseVisit => {
                self.draft.studies = self.visit();
                Vec::new()
            }
            Action::Days(days) => {
                (self.draft.days, self.draft.wants_own_days) = (days, false);
                Vec::new()
            }
            Action::OwnDays => {
                self.draft.wants_own_days = true;
                Vec::new()
            }
            Action::ViewOnly => {
                self.draft.view_only = !self.draft.view_only;
                Vec::new()
            }
            Action::Agree => self.agree(),
            Action::Pick(choice) => self.pick(Some(choice)),
            Action::PickNone => self.pick(None),
            Action::Who(study) => self.begin(Job::AskWho { study }),
            Action::OpenGrant(grant) => self.go(Screen::Grant { grant }),
            Action::Looked => self.go(Screen::Looked),
            Action::End(grant) => self.go(Screen::EndSure { grant: Some(grant) }),
            Action::EndAll => self.go(Screen::EndSure { grant: None }),
            Action::EndYes => match self.screen {
                Screen::EndSure { grant: Some(grant) } => self.begin(Job::End { grant }),
                _ => self.begin(Job::EndAll),
            },
            Action::OpenPending => self.go(Screen::Pending),
            Action::NotLost => self.begin(Job::Veto),
            Action::Settings => self.go(Screen::Settings),
            Action::Language => self.go(Screen::Language),
            Action::Speak(language) => {
                self.language = language;
                Vec::new()
            }
            Action::OpenLock => self.go(Screen::Lock),
            Action::LockNow => self.lock(),
            Action::ChangePassphrase => self.go(Screen::NewPassphrase { is_weak: false }),
            Action::Devices => self.go(Screen::Devices),
            Action::DeviceLost => self.go(Screen::WordsHidden { are_new: true }),
            Action::Move => self.begin(Job::Move),
            Action::About => self.go(Screen::About),
            Action::OpenReceived(received) => self.go(Screen::Received { received }),
            Action::ReadInbox => self.begin(Job::ReadInbox),
            Action::ShowCard => {
                self.draft = self.fresh();
                self.go(Screen::Wish)
            }
            Action::LookReceived(received) => self.begin(Job::LookReceived { received }),
            Action::OpenRecall(received) => self.go(Screen::Recall { received }),
            Action::Acknowledge(received) => self.begin(Job::Acknowledge { received }),
            _ => Vec::new(),
        }
    }

    /// What was typed is taken, and the next page comes.
    fn next_step(&mut self) -> Vec<Effect> {
        match self.screen.clone() {
            Screen::Name => {
                self.draft.name = Private(self.typed("name").0.trim().to_owned());
                self.go(Screen::Passphrase { is_weak: false })
            }
            Screen::Passphrase { .. } if self.draft.is_restore => self.begin(Job::Restore),
            Screen::Passphrase { .. } => {
                let name = self.draft.name.clone();
                self.begin(Job::Make { mode: self.mode, name })
            }
            Screen::NewPassphrase { .. } => self.begin(Job::ChangePassphrase),
            Screen::RestoreWords { .. } => self.begin(Job::ReadWords),
            Screen::WordsCheck { are_new: false, .. } => self.begin(Job::CheckWords),
            Screen::WordsCheck { are_new: true, .. } => self.begin(Job::TakeNewWords),
            Screen::Paste => {
                let text = self.typed("code");
                self.begin(Job::ReadCode { text })
            }
            Screen::PickUpAnswer { code, is_recovery, .. } | Screen::PickUpWrong { code, is_recovery, .. } => {
                self.begin(if is_recovery { Job::Recover { code } } else { Job::PickUp { code } })
            }
            Screen::ShareWho if self.draft.studies.is_empty() || self.draft.is_narrow => self.go(Screen::ShareWhat),
            Screen::ShareWho | Screen::ShareWhat => self.go(Screen::ShareDays),
            Screen::ShareDays => {
                if self.draft.wants_own_days {
                    self.draft.days = consent::own_days(self).unwrap_or(consent::DAYS[0]);
                }
                self.go(Screen::ShareReview)
            }
            Screen::Wish => {
                let wish = Private(self.typed("wish").0.trim().to_owned());
                match self.draft.code {
                    Some(code) => self.begin(Job::Answer { code, wish }),
                    None => self.begin(Job::MakeCard { wish }),
                }
            }
            _ => Vec::new(),
        }
    }

    fn agree(&mut self) -> Vec<Effect> {
        let Draft { code, invitation, studies, days, view_only, all_the_same, .. } = self.draft.clone();
        match (invitation, code) {
            (Some(invitation), _) => self.begin(Job::ShareInvited { invitation, studies, days, view_only }),
            (None, Some(code)) => self.begin(Job::Share { code, studies, days, view_only, all_the_same }),
            (None, None) => Vec::new(),
        }
    }

    fn pick(&mut self, choice: Option<u32>) -> Vec<Effect> {
        match self.draft.invitation {
            Some(invitation) => self.begin(Job::PickWords { invitation, choice }),
            None => Vec::new(),
        }
    }

    fn turn(&mut self, to: impl Fn(u32) -> u32) -> Vec<Effect> {
        match self.screen {
            Screen::Pictures { at } => self.replace(Screen::Pictures { at: to(at) }),
            _ => Vec::new(),
        }
    }

    fn pause(&mut self, is_paused: bool) -> Vec<Effect> {
        let Screen::Fetching { ticket } = self.screen else { return Vec::new() };
        let Some(work) = self.under_way.iter_mut().find(|work| work.ticket == ticket) else { return Vec::new() };
        work.is_paused = is_paused;
        vec![Effect::Pause { ticket, is_paused }]
    }

    fn fresh(&self) -> Draft {
        Draft { days: consent::DAYS[0], ..Draft::default() }
    }

    /// The studies of the same day and hospital as those that are chosen.
    fn visit(&self) -> Vec<Handle> {
        let all = &self.wallet.studies;
        let chosen: Vec<&Study> = all.iter().filter(|one| self.draft.studies.contains(&one.handle)).collect();
        let is_same = |one: &Study| {
            chosen.iter().any(|of| {
                of.handle == one.handle || of.day.is_some() && of.day == one.day && of.hospital == one.hospital
            })
        };
        let visit = all.iter().filter(|one| one.standing == Standing::Held && is_same(one));
        visit.map(|one| one.handle).take(MOST_STUDIES).collect()
    }

    /// A page on which one can go back to this one.
    fn go(&mut self, screen: Screen) -> Vec<Effect> {
        let before = core::mem::replace(&mut self.screen, screen);
        if !matches!(before, Screen::Working { .. } | Screen::Fetching { .. } | Screen::Trouble { .. }) {
            if self.behind.len() >= MOST_BEHIND {
                self.behind.remove(1);
            }
            self.behind.push(before);
        }
        Vec::new()
    }

    fn replace(&mut self, screen: Screen) -> Vec<Effect> {
        self.screen = screen;
        Vec::new()
    }

    fn begin(&mut self, job: Job) -> Vec<Effect> {
        if self.under_way.len() >= MOST_UNDER_WAY {
            let trouble = Trouble { kind: TroubleKind::Busy, support: "busy.Phone".to_owned() };
            return self.go(Screen::Trouble { trouble, again: None });
        }
        let ticket = self.next;
        self.next = self.next.saturating_add(1);
        let work = UnderWay { ticket, job: job.clone(), done: 0, all: 0, is_slow: false, is_paused: false };
        self.under_way.push(work);
        if job.is_fetch() {
            self.go(Screen::Fetching { ticket });
        } else if !job.is_beside() {
            self.go(Screen::Working { ticket, word: job.word() });
        }
        vec![Effect::Begin { ticket, job }]
    }

    fn again(&mut self) -> Vec<Effect> {
        match self.screen.clone() {
            Screen::Trouble { again: Some(job), .. } => self.begin(job),
            _ => self.begin(Job::Ask),
        }
    }

    /// What the page that is left leaves behind.
    fn leave(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        match &self.screen {
            Screen::Working { ticket, .. } | Screen::Fetching { ticket } => {
                effects.push(Effect::Cancel { ticket: *ticket });
                self.under_way.retain(|work| work.ticket != *ticket);
            }
            Screen::Invitation { .. } | Screen::PickWords { .. } => {
                let waits = |work: &&UnderWay| matches!(work.job, Job::AwaitAnswer { .. });
                effects.extend(self.under_way.iter().filter(waits).map(|work| Effect::Cancel { ticket: work.ticket }));
                self.under_way.retain(|work| !waits(&work));
            }
            Screen::WordsShown { .. } => effects.push(Effect::ForgetSecrets),
            Screen::Pictures { .. } => {
                effects.extend(self.view.take().map(|view| Effect::CloseView { view: view.view }));
            }
            _ => {}
        }
        effects
    }

    fn back(&mut self) -> Vec<Effect> {
        let effects = self.leave();
        let before = self.behind.pop();
        self.screen = before.unwrap_or_else(|| self.ground());
        effects
    }

    fn stop(&mut self) -> Vec<Effect> {
        self.back()
    }

    fn home(&mut self) -> Vec<Effect> {
        let mut effects = self.leave();
        effects.extend(self.view.take().map(|view| Effect::CloseView { view: view.view }));
        self.behind.clear();
        self.typed.clear();
        self.draft = Draft::default();
        self.who = None;
        self.screen = self.ground();
        effects
    }

    /// What lies below every other page.
    const fn ground(&self) -> Screen {
        if self.is_open { first(self.mode) } else { Screen::Welcome }
    }

    /// A page on which there is only one way: on.
    fn land(&mut self, screen: Screen) -> Vec<Effect> {
        self.behind.clear();
        if self.is_open {
            self.behind.push(first(self.mode));
        }
        self.replace(screen)
    }

    fn after_device(&mut self) -> Vec<Effect> {
        if self.behind.contains(&Screen::Lock) {
            return self.back();
        }
        self.land(Screen::WordsHidden { are_new: false })
    }

    fn lock(&mut self) -> Vec<Effect> {
        let screen = Screen::Locked { wrong: 0, by_passphrase: false };
        let (mode, device, language) = (self.mode, self.device, self.language);
        let kept = (self.now, self.next, self.is_connected, self.may_use_camera);
        *self = Self::start(Found::Wallet(mode), device, language);
        (self.now, self.next, self.is_connected, self.may_use_camera) = kept;
        self.screen = screen;
        vec![Effect::Lock]
    }

    fn take_typed(&mut self, field: String, text: Private) {
        let page = draw(self).page;
        let is_there =
            |part: &Part| matches!(part, Part::Field { field: of } if of.name == field && !of.kind.is_secret());
        if !page.parts.iter().any(is_there) || text.0.len() > MOST_TYPED {
            return;
        }
        self.typed.retain(|(name, _)| *name != field);
        self.typed.push((field, text));
    }

    fn event(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Wallet(wallet) => {
                self.wallet = wallet;
                Vec::new()
            }
            Event::Progress { ticket, done, all } => {
                if let Some(work) = self.under_way.iter_mut().find(|work| work.ticket == ticket) {
                    (work.done, work.all) = (done, all);
                }
                Vec::new()
            }
            Event::Slow { ticket } => {
                if let Some(work) = self.under_way.iter_mut().find(|work| work.ticket == ticket) {
                    work.is_slow = true;
                }
                Vec::new()
            }
            Event::Did { ticket, did } => match self.end_of(ticket) {
                Some((job, true)) => self.did(&job, did),
                Some((job, false)) => self.did_beside(&job, did),
                None => Vec::new(),
            },
            Event::Failed { ticket, trouble } => match self.end_of(ticket) {
                Some((job, true)) => self.failed(job, trouble),
                _ => Vec::new(),
            },
            Event::Shot { view, at, shot } => {
                let open = self.view.iter_mut().filter(|one| one.view == view);
                if let Some(place) = open.flat_map(|one| one.pictures.get_mut(at as usize)).next() {
                    *place = shot;
                }
                Vec::new()
            }
            Event::Scanned(text) => self.scanned(text),
            Event::Camera(may) => {
                self.may_use_camera = may;
                Vec::new()
            }
            Event::Connected(is_connected) => {
                self.is_connected = is_connected;
                Vec::new()
            }
            Event::Device(device) => {
                self.device = device;
                Vec::new()
            }
            Event::Away(ms) if ms >= LOCKS_AFTER_MS && self.is_open => self.lock(),
            Event::Away(_) => Vec::new(),
        }
    }

    /// What was begun by this number, now that it has ended, and whether its page is shown.
    fn end_of(&mut self, ticket: Ticket) -> Option<(Job, bool)> {
        let at = self.under_way.iter().position(|work| work.ticket == ticket)?;
        let work = self.under_way.remove(at);
        let is_shown = match &self.screen {
            Screen::Working { ticket: of, .. } | Screen::Fetching { ticket: of } => *of == ticket,
            Screen::Invitation { .. } => matches!(work.job, Job::AwaitAnswer { .. }),
            _ => false,
        };
        Some((work.job, is_shown))
    }

    fn scanned(&mut self, text: Private) -> Vec<Effect> {
        if text.0.len() > MOST_TYPED {
            return self.go(Screen::Unusable { why: Misfit::Damaged });
        }
        if !self.is_open {
            self.linked = Some(text);
            return Vec::new();
        }
        match self.screen {
            // What is under way is not left for a link.
            Screen::Working { .. } | Screen::Fetching { .. } | Screen::WordsShown { .. } => Vec::new(),
            Screen::Scan { .. } => {
                // One code, once: the page of the camera is not one to come back to by itself.
                let before = self.behind.pop().unwrap_or_else(|| self.ground());
                self.screen = before;
                self.begin(Job::ReadCode { text })
            }
            _ => self.begin(Job::ReadCode { text }),
        }
    }

    /// What nobody has waited for.
    fn did_beside(&mut self, job: &Job, did: Did) -> Vec<Effect> {
        match (job, did) {
            (Job::Ask, Did::LostTouch) => self.go(Screen::LostTouch),
            // Images that were opened for a page that is not there any more.
            (_, Did::Viewing(view)) => vec![Effect::CloseView { view: view.view }],
            _ => Vec::new(),
        }
    }

    fn did(&mut self, job: &Job, did: Did) -> Vec<Effect> {
        match did {
            Did::Opened(mode) => {
                (self.mode, self.is_open) = (mode, true);
                self.behind.clear();
                self.screen = first(mode);
                let mut effects = self.begin(Job::Ask);
                if let Some(text) = self.linked.take() {
                    effects.extend(self.begin(Job::ReadCode { text }));
                }
                effects
            }
            Did::Made => {
                self.is_open = true;
                self.land(Screen::Device)
            }
            Did::Done => self.done(job),
            Did::Restored { found, not_told } => {
                self.is_open = true;
                self.land(Screen::Restored { found, not_told })
            }
            Did::WordsReady(asked) => {
                let are_new = matches!(job, Job::ShowNewWords { .. });
                self.replace(Screen::WordsShown { are_new, asked })
            }
            Did::OtherWords(asked) => {
                let are_new = matches!(job, Job::TakeNewWords);
                // The page on which they were typed lies behind.
                self.behind.pop();
                self.replace(Screen::WordsCheck { are_new, asked, was_wrong: true })
            }
            Did::Weak => {
                self.behind.pop();
                self.replace(match job {
                    Job::ChangePassphrase => Screen::NewPassphrase { is_weak: true },
                    _ => Screen::Passphrase { is_weak: true },
                })
            }
            Did::Read(seen) => self.seen(seen),
            Did::PickedUp { new, before, refused } => self.land(Screen::PickedUp { new, before, refused }),
            Did::WrongAnswer { left: 0 } => self.land(Screen::PickUpLocked),
            Did::WrongAnswer { left } => {
                let (Job::PickUp { code } | Job::Recover { code }) = *job else { return Vec::new() };
                self.behind.pop();
                self.replace(Screen::PickUpWrong { code, is_recovery: matches!(job, Job::Recover { .. }), left })
            }
            Did::NotProven => self.land(Screen::PickUpNotProven),
            Did::Recovered { done, waiting, from, frozen, refused } => {
                self.land(Screen::Recovered { done, waiting, from, frozen, refused })
            }
            Did::Introduced(person) => {
                self.draft.person = Some(person);
                self.replace(Screen::ShareWho)
            }
            Did::Shared { done, not_told, not_final } => self.land(Screen::Shared { done, not_told, not_final }),
            Did::NotShared(why) => self.replace(Screen::NotShared { why }),
            Did::Invited { invitation, content, until } => {
                self.draft.invitation = Some(invitation);
                self.replace(Screen::Invitation { content, until });
                self.begin(Job::AwaitAnswer { invitation })
            }
            Did::Answered { choices } => self.replace(Screen::PickWords { choices }),
            Did::Picked { person, is_narrow } => {
                (self.draft.person, self.draft.is_narrow) = (Some(person), is_narrow);
                if is_narrow {
                    (self.draft.days, self.draft.view_only) = (1, true);
                    self.draft.studies.truncate(1);
                }
                self.land(Screen::ShareWho)
            }
            Did::Over(why) if matches!(job, Job::Answer { .. }) => {
                debug_assert!(why == Over::Late);
                self.land(Screen::AnswerOver)
            }
            Did::Over(why) => self.land(Screen::InvitationOver { why }),
            Did::Who(who) => {
                self.who = Some(who);
                self.replace(Screen::Who)
            }
            Did::ReceiptsChanged => self.replace(Screen::LookedChanged),
            Did::Ended { seen, waiting, not_final } => self.land(Screen::Ended { seen, waiting, not_final }),
            Did::Vetoed { done, waiting } => self.land(Screen::Vetoed { done, waiting }),
            Did::Moved { done, stay } => self.land(Screen::Moved { done, stay }),
            Did::Viewing(view) => {
                self.view = Some(view);
                self.replace(Screen::Pictures { at: 0 })
            }
            Did::Exported { files } => self.replace(Screen::Exported { files }),
            Did::Card { content, until } => self.land(Screen::Card { content, until }),
            Did::AnswerWords(words) => self.land(Screen::AnswerWords { words }),
            Did::LostTouch => self.land(Screen::LostTouch),
        }
    }

    fn done(&mut self, job: &Job) -> Vec<Effect> {
        match job {
            Job::KeepOnDevice => {
                self.device = DeviceLock::Kept;
                self.after_device()
            }
            Job::ForgetDevice => {
                self.device = DeviceLock::Ready;
                self.back()
            }
            Job::ReadWords => self.replace(Screen::Passphrase { is_weak: false }),
            Job::CheckWords => self.land(Screen::WordsDone),
            Job::TakeNewWords => self.begin(Job::Move),
            Job::Forget { .. } => self.land(Screen::Forgot),
            Job::Acknowledge { .. } => self.land(Screen::RecallKnown),
            Job::ReadInbox => self.home(),
            Job::ChangePassphrase => {
                self.behind.pop();
                self.back()
            }
            _ => self.back(),
        }
    }

    fn seen(&mut self, seen: Seen) -> Vec<Effect> {
        match (seen, self.mode) {
            (Seen::Misfit(why), _) => self.replace(Screen::Unusable { why }),
            (Seen::PickUp { code, asks_birth_date }, Mode::Patient) => {
                self.replace(Screen::PickUpAnswer { code, asks_birth_date, is_recovery: false })
            }
            (Seen::Card(code), Mode::Patient) => {
                let studies = core::mem::take(&mut self.draft.studies);
                self.draft = Draft { code: Some(code), studies, ..self.fresh() };
                self.begin(Job::LookAtCard { code })
            }
            (Seen::Invitation(code), Mode::Recipient) => {
                self.draft = Draft { code: Some(code), ..self.fresh() };
                self.replace(Screen::Wish)
            }
            _ => self.replace(Screen::Unusable { why: Misfit::NotForThis }),
        }
    }

    fn failed(&mut self, job: Job, trouble: Trouble) -> Vec<Effect> {
        match (&job, trouble.kind) {
            (_, TroubleKind::Cancelled) => self.back(),
            (Job::Open { .. }, TroubleKind::Passphrase) => {
                let wrong = match self.behind.pop() {
                    Some(Screen::Locked { wrong, .. }) => wrong,
                    _ => 0,
                };
                self.replace(Screen::Locked { wrong: wrong.saturating_add(1), by_passphrase: true })
            }
            (Job::Open { .. }, TroubleKind::DeviceKey) => {
                self.device = DeviceLock::Changed;
                self.back()
            }
            (Job::Open { .. }, TroubleKind::NotUnlocked) => self.back(),
            (Job::ReadWords, TroubleKind::Passphrase | TroubleKind::Code) => {
                self.behind.pop();
                self.replace(Screen::RestoreWords { was_wrong: true })
            }
            _ => {
                let again = (!job.takes_secret()).then_some(job);
                self.replace(Screen::Trouble { trouble, again })
            }
        }
    }

    /// Whoever has the telephone in their hand is told at once when a hospital was asked to give studies to another wallet, wherever they are.
    fn look_at_pending(&mut self) -> Vec<Effect> {
        let pending = &self.wallet.pending;
        let is_new = |one: &Pending| !one.is_vetoed && !self.pending_shown.contains(&one.study);
        let is_busy = matches!(self.screen, Screen::Working { .. } | Screen::WordsShown { .. } | Screen::Pending);
        if !self.is_open || is_busy || !pending.iter().any(is_new) {
            return Vec::new();
        }
        self.pending_shown = pending.iter().map(|one| one.study).collect();
        self.go(Screen::Pending)
    }
}
