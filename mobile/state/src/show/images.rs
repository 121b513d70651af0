//! A study, its pictures and its reports, in both modes.

use super::consent::{named_study, standing_key};
use super::{Drawing, day, verbatim};
use crate::action::Action;
use crate::page::{Part, Picture, Tone};
use crate::screen::Screen;
use crate::sentence::Sentence;
use crate::state::State;
use crate::wallet::{Mode, Report, Standing, Study};

pub(super) fn draw(state: &State, screen: &Screen) -> Option<Drawing> {
    Some(match screen {
        Screen::Study { study } => study_page(state.wallet.studies.iter().find(|one| one.handle == *study)?),
        Screen::AskWhen { study } => Drawing::of("study.ask_when")
            .notes(&["study.may_worry", "study.not_for_diagnosis"])
            .main(Action::WithDoctor)
            .other(Action::LookNow(*study)),
        Screen::Fetching { ticket } => {
            let work = state.under_way(*ticket)?;
            let name = if work.is_paused { "study.paused" } else { "study.fetching" };
            let label = Sentence::of(if work.is_slow { "label.slow" } else { "label.fetching" });
            let drawing = Drawing::of(name).part(Part::Progress { label, done: work.done, all: work.all });
            let main = if work.is_paused { Action::Resume } else { Action::Pause };
            drawing.main(main).other(Action::Stop)
        }
        Screen::Pictures { at } => pictures(state, *at)?,
        Screen::Report { at } => {
            let view = state.view.as_ref()?;
            let report = view.reports.get(*at as usize)?;
            let name = if report.paragraphs.is_empty() { "report.unreadable" } else { "report.read" };
            let paragraphs = Part::Report { paragraphs: report.paragraphs.clone() };
            let drawing = Drawing::of(name).text("what", &report.title).part(paragraphs);
            drawing.notes(&["report.ask_doctor"]).main(Action::Back)
        }
        Screen::ForgetSure { study } => Drawing::of("study.forget").tone(Tone::Care).main(Action::ForgetYes(*study)),
        Screen::Forgot => Drawing::of("study.forgotten").tone(Tone::Good).main(Action::Home),
        Screen::Export { study } => {
            Drawing::of("export.choose").notes(&["export.not_protected"]).main(Action::Export(*study))
        }
        Screen::Exported { files } => {
            Drawing::of("export.done").tone(Tone::Good).count("files", *files).main(Action::Home)
        }
        _ => return None,
    })
}

fn study_page(study: &Study) -> Drawing {
    let name = match study.standing {
        Standing::Held => "study.held",
        Standing::NotFinal => "study.not_final",
        Standing::NotTold => "study.not_told",
        Standing::Suspended => "study.suspended",
        Standing::Withdrawn => "study.withdrawn",
        Standing::OtherPatient => "study.other_patient",
        Standing::OtherHolder => "study.other_holder",
        Standing::Frozen => "study.frozen",
    };
    let mut facts =
        vec![("study", named_study(study)), ("made", day(study.day)), ("hospital", verbatim(&study.hospital))];
    if !study.about.0.is_empty() {
        facts.push(("about", verbatim(&study.about)));
    }
    facts.push(("images", Sentence::of("line.images").count("images", study.images)));
    let is_plain = standing_key(study.standing).is_none();
    let tone = match study.standing {
        Standing::Held => Tone::Plain,
        Standing::OtherPatient => Tone::Alarm,
        _ => Tone::Care,
    };
    let drawing = Drawing::of(name).tone(tone).facts(facts);
    let of = study.handle;
    match study.standing {
        Standing::Held => drawing
            .main(Action::Share(of))
            .other(Action::Look(of))
            .other(Action::Who(of))
            .other(Action::OpenExport(of))
            .other(Action::ForgetCopy(of)),
        Standing::OtherPatient => drawing.main(Action::ForgetCopy(of)),
        _ => drawing.main(Action::Home).other_if(!is_plain, Action::Who(of)),
    }
}

fn pictures(state: &State, at: u32) -> Option<Drawing> {
    let view = state.view.as_ref()?;
    let of = u32::try_from(view.pictures.len()).unwrap_or(u32::MAX);
    let Some(shot) = view.pictures.get(at as usize) else {
        return Some(reports(Drawing::of("pictures.none").tone(Tone::Care).main(Action::Back), state));
    };
    let name = match (state.mode, view.missing) {
        (Mode::Patient, 0) => "pictures.own",
        (Mode::Patient, _) => "pictures.own_partial",
        (Mode::Recipient, 0) => "pictures.ward_round",
        (Mode::Recipient, _) => "pictures.ward_round_partial",
    };
    let picture = Picture {
        view: view.view,
        at,
        of,
        identity: shot.identity.clone(),
        made: shot.made.clone(),
        side: shot.side.clone(),
        warning: Sentence::of("pictures.not_for_diagnosis"),
    };
    let drawing = Drawing::of(name).tone(if view.missing > 0 { Tone::Care } else { Tone::Plain });
    let drawing = drawing.count("at", at.saturating_add(1)).count("all", of).count("missing", view.missing);
    let drawing = drawing.part(Part::Picture { picture });
    let is_last = at.saturating_add(1) >= of;
    let drawing = if is_last { drawing.main(Action::Back) } else { drawing.main(Action::PictureNext) };
    Some(reports(drawing.other_if(at > 0, Action::PictureBefore), state))
}

fn reports(drawing: Drawing, state: &State) -> Drawing {
    let reports = state.view.iter().flat_map(|view| &view.reports);
    let row = |(at, report): (u32, &Report)| {
        (Tone::Plain, verbatim(&report.title), vec![Sentence::of("line.report")], Some(Action::OpenReport(at)))
    };
    let rows: Vec<_> = (0u32..).zip(reports).map(row).collect();
    if rows.is_empty() { drawing } else { drawing.rows(rows) }
}
