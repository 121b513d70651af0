//! A patient's studies, and who is let in.

use super::{DAY_MS, Drawing, day, until, verbatim, verdict};
use crate::action::Action;
use crate::page::{FieldKind, Outside, Part, Tone};
use crate::screen::Screen;
use crate::sentence::{Private, Sentence, Value};
use crate::state::State;
use crate::wallet::{Grant, Handle, Look, Mode, Pending, Person, Stage, Standing, Study, Verdict};
use crate::work::{Misfit, NotShared, Over};

/// For how many days somebody can be let in without typing.
pub(crate) const DAYS: [u32; 3] = [7, 1, 30];
/// The most days that can be typed: as the ledger has it, two years.
pub(crate) const MOST_DAYS: u32 = 730;

pub(super) fn draw(state: &State, screen: &Screen) -> Option<Drawing> {
    Some(match screen {
        Screen::Home => home(state),
        Screen::LostTouch => Drawing::of("home.lost_touch").tone(Tone::Alarm).main(Action::Scan).other(Action::Again),
        Screen::Pending => {
            let pending = &state.wallet.pending;
            let is_vetoed = pending.iter().all(|one| one.is_vetoed);
            let drawing = Drawing::of(if is_vetoed { "lost.vetoed" } else { "lost.pending" });
            let row = |one: &Pending| {
                let what = Sentence::of("line.can_be_taken_from").instant("from", one.from);
                (Tone::Alarm, named(state, one.study), vec![what], None)
            };
            let drawing = drawing.tone(Tone::Alarm).rows(pending.iter().map(row).collect());
            if is_vetoed { drawing.main(Action::Home) } else { drawing.main(Action::NotLost).other(Action::Home) }
        }
        Screen::Vetoed { done, waiting } => {
            let name = if *waiting > 0 { "lost.not_final" } else { "lost.done" };
            let tone = if *waiting > 0 { Tone::Care } else { Tone::Good };
            Drawing::of(name).tone(tone).count("done", *done).count("waiting", *waiting).main(Action::Home)
        }
        Screen::Scan { torch } if state.may_use_camera => {
            let drawing = Drawing::of("scan.camera").part(Part::Camera { torch: *torch }).main(Action::Paste);
            drawing.other(Action::Torch).other_outside(Action::ChoosePicture, Outside::Picture)
        }
        Screen::Scan { .. } => Drawing::of("scan.denied")
            .tone(Tone::Care)
            .main(Action::Paste)
            .other_outside(Action::ChoosePicture, Outside::Picture)
            .other_outside(Action::SystemSettings, Outside::Settings),
        Screen::Paste => {
            let is_there = !state.typed("code").0.trim().is_empty();
            Drawing::of("scan.paste").field(state, "code", FieldKind::Code).main_if(is_there, Action::Next)
        }
        Screen::Unusable { why } => {
            let name = match why {
                Misfit::NotOurs => "scan.not_ours",
                Misfit::OtherNetwork => "scan.other_network",
                Misfit::Expired => "scan.expired",
                Misfit::Damaged => "scan.damaged",
                Misfit::Newer => "scan.newer",
                Misfit::NotForThis => "scan.not_for_this",
            };
            Drawing::of(name).tone(Tone::Care).main(Action::Scan).other(Action::Paste)
        }
        Screen::PickUpAnswer { is_recovery, asks_birth_date, .. } => {
            let drawing = Drawing::of(match (is_recovery, asks_birth_date) {
                (false, false) => "pick_up.pin",
                (false, true) => "pick_up.birth_date",
                (true, false) => "recover.pin",
                (true, true) => "recover.birth_date",
            });
            drawing.field(state, "answer", FieldKind::Answer).other_if(!is_recovery, Action::GiveBack)
        }
        Screen::PickUpWrong { left, .. } => {
            let name = if *left == 1 { "pick_up.last_try" } else { "pick_up.wrong" };
            let tone = if *left == 1 { Tone::Alarm } else { Tone::Care };
            Drawing::of(name).tone(tone).count("left", *left).field(state, "answer", FieldKind::Answer)
        }
        Screen::PickUpLocked => Drawing::of("pick_up.locked").tone(Tone::Alarm).main(Action::Scan).other(Action::Home),
        Screen::PickUpNotProven => Drawing::of("pick_up.not_proven").tone(Tone::Alarm).main(Action::Home),
        Screen::PickedUp { new, before, refused } => {
            let (name, tone) = match (new + before, refused) {
                (0, _) => ("pick_up.nothing", Tone::Care),
                (_, 0) => ("pick_up.done", Tone::Good),
                _ => ("pick_up.some", Tone::Care),
            };
            Drawing::of(name)
                .tone(tone)
                .count("new", *new)
                .count("before", *before)
                .count("refused", *refused)
                .main(Action::Home)
        }
        Screen::Recovered { done, waiting, from, frozen, refused } => {
            let (name, tone) = match (waiting, frozen, refused) {
                (0, 0, 0) => ("recover.done", Tone::Good),
                (0, 0, _) => ("recover.refused", Tone::Care),
                (0, _, _) => ("recover.frozen", Tone::Care),
                _ => ("recover.waits", Tone::Care),
            };
            let drawing = Drawing::of(name).tone(tone).count("done", *done).count("waiting", *waiting);
            drawing.instant("from", *from).count("frozen", *frozen).count("refused", *refused).main(Action::Home)
        }
        Screen::ShareHow => {
            Drawing::of("share.how").main(Action::InviteHere).other(Action::Scan).other(Action::InviteFar)
        }
        Screen::ShareWho => share_who(state.draft.person.as_ref()?),
        Screen::ShareWhat => share_what(state),
        Screen::ShareDays => {
            let own = state.draft.wants_own_days;
            let is_set = |days: &u32| !own && state.draft.days == *days;
            let day = |days: u32| (Sentence::of("choice.days").count("days", days), Action::Days(days), is_set(&days));
            let mut all: Vec<_> = DAYS.map(day).into();
            all.push((Sentence::of("choice.own_days"), Action::OwnDays, own));
            let drawing = Drawing::of(if own { "share.own_days" } else { "share.days" }).choices("days", true, all);
            let drawing = drawing.with("most", Value::Count(MOST_DAYS.into()));
            if !own {
                return Some(drawing);
            }
            drawing.field(state, "days", FieldKind::Number).main_if(own_days(state).is_some(), Action::Next)
        }
        Screen::ShareReview => share_review(state)?,
        Screen::Shared { done, not_told, not_final } => {
            let (name, tone) = match (not_final, not_told) {
                (0, 0) => ("share.done", Tone::Good),
                (0, _) => ("share.not_delivered", Tone::Care),
                _ => ("share.not_final", Tone::Care),
            };
            let drawing = Drawing::of(name).tone(tone).count("done", *done).count("not_told", *not_told);
            drawing.count("not_final", *not_final).text("who", &person_name(state)).main(Action::Home)
        }
        Screen::NotShared { why } => {
            let name = match why {
                NotShared::UsedUp => "share.used_up",
                NotShared::TooFewKeys => "share.too_few_keys",
                NotShared::TooShort => "share.too_short",
                NotShared::OtherTerms => "share.other_terms",
                NotShared::Capped => "share.capped",
                NotShared::FarTooMuch => "share.far_too_much",
            };
            Drawing::of(name).tone(Tone::Care).main(Action::Back).other(Action::Home)
        }
        Screen::Invitation { content, until } if state.draft.from_afar => Drawing::of("invite.link")
            .instant("until", *until)
            .notes(&["invite.by_telephone"])
            .main_outside(Action::SendLink, Outside::Send { text: content.clone() })
            .other(Action::Stop),
        Screen::Invitation { content, until } => Drawing::of("invite.shown")
            .instant("until", *until)
            .part(Part::Code { content: content.clone() })
            .main(Action::Stop),
        Screen::PickWords { choices } => {
            // Rows, and no choices: to press one is to mean it.
            let row = |(at, words): (u32, &Private)| (Tone::Plain, verbatim(words), Vec::new(), Some(Action::Pick(at)));
            Drawing::of("invite.words")
                .tone(Tone::Care)
                .rows((0u32..).zip(choices).map(row).collect())
                .main(Action::PickNone)
                .back(Action::Stop)
        }
        Screen::InvitationOver { why } => {
            let (name, tone) = match why {
                Over::Late => ("invite.over", Tone::Care),
                Over::Second => ("invite.second", Tone::Alarm),
                Over::WordsDiffer => ("invite.differ", Tone::Alarm),
            };
            Drawing::of(name).tone(tone).main(Action::Home)
        }
        Screen::Who => who(state)?,
        Screen::Grant { grant } => grant_page(find(state, *grant)?),
        Screen::Looked => looked(state)?,
        Screen::LookedChanged => Drawing::of("looked.changed").tone(Tone::Alarm).main(Action::Home),
        Screen::EndSure { grant: Some(grant) } => {
            let other_device = || Value::Word("line.other_device".to_owned());
            let who = find(state, *grant)?.name.clone().map_or_else(other_device, Value::Text);
            Drawing::of("end.sure").tone(Tone::Care).with("who", who).main(Action::EndYes)
        }
        Screen::EndSure { grant: None } => Drawing::of("end.everybody").tone(Tone::Care).main(Action::EndYes),
        Screen::Ended { seen, waiting, not_final } => {
            let (name, tone) = match (seen, waiting, not_final) {
                (0, 0, 0) => ("end.nothing", Tone::Plain),
                (_, 0, 0) => ("end.seen", Tone::Good),
                (_, _, 0) => ("end.waiting", Tone::Good),
                _ => ("end.not_final", Tone::Care),
            };
            let drawing = Drawing::of(name).tone(tone).count("seen", *seen).count("waiting", *waiting);
            drawing.count("not_final", *not_final).main(Action::Home)
        }
        _ => return None,
    })
}

/// The number of days that is typed, if it is one that can be.
pub(crate) fn own_days(state: &State) -> Option<u32> {
    state.typed("days").0.trim().parse().ok().filter(|days| (1..=MOST_DAYS).contains(days))
}

fn home(state: &State) -> Drawing {
    let wallet = &state.wallet;
    let name = if wallet.studies.is_empty() { "home.empty" } else { "home.list" };
    let row = |study: &Study| {
        let images = Sentence::of("line.images").count("images", study.images);
        let mut lines = vec![day(study.day), Sentence::of("line.from").text("hospital", &study.hospital), images];
        let mut tone = Tone::Plain;
        if let Some(key) = standing_key(study.standing) {
            tone = Tone::Care;
            lines.insert(0, Sentence::of(key));
        }
        (tone, named_study(study), lines, Some(Action::OpenStudy(study.handle)))
    };
    let count = u32::try_from(wallet.studies.len()).unwrap_or(u32::MAX);
    let drawing = banners(Drawing::of(name).count("studies", count), state);
    let drawing = drawing.rows(wallet.studies.iter().map(row).collect()).main(Action::Scan);
    drawing.other_if(!wallet.studies.is_empty(), Action::InviteHere).other(Action::Settings)
}

/// What is to be known of a wallet before all else, the most urgent first.
pub(super) fn banners(mut drawing: Drawing, state: &State) -> Drawing {
    let wallet = &state.wallet;
    if !wallet.pending.is_empty() {
        let text = Sentence::of("banner.pending").count("studies", wallet.pending.len() as u64);
        drawing = drawing.banner(Tone::Alarm, text, Some(Action::OpenPending));
    }
    if wallet.older_copy.is_some() {
        let action = (state.mode == Mode::Patient).then_some(Action::Devices);
        drawing = drawing.banner(Tone::Alarm, Sentence::of("banner.older_copy"), action);
    }
    if wallet.words_due.is_some() {
        drawing = drawing.banner(Tone::Care, Sentence::of("banner.words_due"), Some(Action::OpenWords));
    }
    if wallet.to_move > 0 && wallet.older_copy.is_none() {
        let text = Sentence::of("banner.to_move").count("studies", wallet.to_move);
        drawing = drawing.banner(Tone::Care, text, Some(Action::Devices));
    }
    if wallet.recovering > 0 {
        drawing =
            drawing.banner(Tone::Plain, Sentence::of("banner.recovering").count("studies", wallet.recovering), None);
    }
    if wallet.silent > 0 {
        drawing = drawing.banner(Tone::Care, Sentence::of("banner.silent").count("hospitals", wallet.silent), None);
    }
    drawing
}

pub(super) fn standing_key(standing: Standing) -> Option<&'static str> {
    Some(match standing {
        Standing::Held => return None,
        Standing::NotFinal => "line.not_final",
        Standing::NotTold => "line.not_told",
        Standing::Suspended => "line.suspended",
        Standing::Withdrawn => "line.withdrawn",
        Standing::OtherPatient => "line.other_patient",
        Standing::OtherHolder => "line.other_holder",
        Standing::Frozen => "line.frozen",
    })
}

/// What a study is called: in its hospital's words, or that it has no name.
pub(super) fn named_study(study: &Study) -> Sentence {
    if study.what.0.trim().is_empty() { Sentence::of("line.no_name") } else { verbatim(&study.what) }
}

fn named(state: &State, study: Handle) -> Sentence {
    state
        .wallet
        .studies
        .iter()
        .find(|one| one.handle == study)
        .map_or_else(|| Sentence::of("line.no_name"), named_study)
}

fn share_who(person: &Person) -> Drawing {
    let (name, tone) = match &person.verdict {
        Verdict::Verified { .. } => ("share.verified", Tone::Plain),
        Verdict::Unverified => ("share.unverified", Tone::Care),
        Verdict::Changed => ("share.changed", Tone::Alarm),
        Verdict::Ended => ("share.vouch_ended", Tone::Alarm),
    };
    let wish = if person.wish.0.is_empty() { Sentence::of("line.no_wish") } else { verbatim(&person.wish) };
    let facts = vec![("who", verbatim(&person.name)), ("vouched", verdict(&person.verdict)), ("wish", wish)];
    let drawing = Drawing::of(name).tone(tone).text("who", &person.name).facts(facts);
    match person.verdict {
        Verdict::Changed | Verdict::Ended => drawing.main(Action::Home).other(Action::AllTheSame),
        Verdict::Verified { .. } | Verdict::Unverified => drawing.main(Action::Next).other(Action::Home),
    }
}

fn share_what(state: &State) -> Drawing {
    let can_be = |study: &&Study| study.standing == Standing::Held;
    let choice = |study: &Study| {
        let is_chosen = state.draft.studies.contains(&study.handle);
        (named_study(study), Action::Choose(study.handle), is_chosen)
    };
    let all: Vec<_> = state.wallet.studies.iter().filter(can_be).map(choice).collect();
    if all.is_empty() {
        return Drawing::of("share.no_studies").main(Action::Home);
    }
    let is_chosen = !state.draft.studies.is_empty();
    let drawing = Drawing::of("share.what").choices("studies", state.draft.is_narrow, all);
    drawing.main_if(is_chosen, Action::Next).other_if(is_chosen && !state.draft.is_narrow, Action::ChooseVisit)
}

fn share_review(state: &State) -> Option<Drawing> {
    let draft = &state.draft;
    let person = draft.person.as_ref()?;
    let span = u64::from(draft.days).saturating_mul(DAY_MS);
    let mut facts = vec![("who", verbatim(&person.name)), ("vouched", verdict(&person.verdict))];
    facts.extend(draft.studies.iter().map(|study| ("study", named(state, *study))));
    facts.push(("until", until(state.now.saturating_add(span))));
    facts.push(("days", Sentence::of("line.for").with("span", Value::Span(span))));
    let name = if draft.is_narrow { "share.review_narrow" } else { "share.review" };
    let keep = (Sentence::of("choice.view_only"), Action::ViewOnly, draft.view_only);
    let drawing = Drawing::of(name).text("who", &person.name).facts(facts).choices("keeping", false, vec![keep]);
    Some(drawing.notes(&["share.what_it_cannot"]).main(Action::Agree))
}

pub(crate) fn person_name(state: &State) -> Private {
    state.draft.person.as_ref().map(|person| person.name.clone()).unwrap_or_default()
}

fn find(state: &State, grant: Handle) -> Option<&Grant> {
    let asked = state.who.iter().flat_map(|who| &who.grants);
    asked.chain(&state.wallet.grants).find(|one| one.handle == grant)
}

fn called(grant: &Grant) -> Sentence {
    grant.name.as_ref().map_or_else(|| Sentence::of("line.other_device"), verbatim)
}

const fn stage_key(stage: Stage) -> &'static str {
    match stage {
        Stage::Signed => "line.signed",
        Stage::NotDelivered => "line.not_delivered",
        Stage::Active => "line.active",
        Stage::Ending => "line.ending",
        Stage::Ended => "line.ended",
    }
}

fn who(state: &State) -> Option<Drawing> {
    let who = state.who.as_ref()?;
    let can = |grant: &&Grant| grant.stage != Stage::Ended;
    let row = |grant: &Grant| {
        let lines = vec![Sentence::of(stage_key(grant.stage)), until(grant.until), verdict(&grant.verdict)];
        (Tone::Plain, called(grant), lines, Some(Action::OpenGrant(grant.handle)))
    };
    let name = if who.grants.iter().any(|grant| can(&grant)) { "who.list" } else { "who.none" };
    let drawing = Drawing::of(name).with("age", Value::Span(who.age_ms));
    let drawing = drawing.rows(who.grants.iter().map(row).collect()).main(Action::Share(who.study));
    Some(drawing.other(Action::Looked))
}

fn grant_page(grant: &Grant) -> Drawing {
    let name = match grant.stage {
        Stage::Signed => "who.signed",
        Stage::NotDelivered => "who.not_delivered",
        Stage::Active => "who.active",
        Stage::Ending => "who.ending",
        Stage::Ended => "who.ended",
    };
    let facts = vec![("who", called(grant)), ("vouched", verdict(&grant.verdict)), ("until", until(grant.until))];
    let drawing = Drawing::of(name).text("who", &grant.name.clone().unwrap_or_default()).facts(facts);
    if grant.stage == Stage::Ended { drawing.main(Action::Back) } else { drawing.main(Action::End(grant.handle)) }
}

fn looked(state: &State) -> Option<Drawing> {
    let who = state.who.as_ref()?;
    let row = |look: &Look| {
        let name = look.name.as_ref().map_or_else(|| Sentence::of("line.somebody"), verbatim);
        let lines = vec![Sentence::of(look.kind.key()), Sentence::of("line.at").instant("at", look.at)];
        (Tone::Plain, name, lines, None)
    };
    let drawing = Drawing::of(if who.looks.is_empty() { "looked.none" } else { "looked.list" });
    let drawing = drawing.rows(who.looks.iter().map(row).collect()).main(Action::Back).other(Action::Home);
    let not_asked = Sentence::of("banner.looks_not_asked");
    Some(if who.not_asked { drawing.banner(Tone::Care, not_asked, None) } else { drawing })
}
