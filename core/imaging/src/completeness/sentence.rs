//! What is found, said to people: a line for each study and each series.

use std::fmt::{self, Display, Formatter};
use std::path::Path;

use clavicle_manifest::Uid;

use super::{Absent, Completeness, Gap, Lacking, Run, SeriesCompleteness, StudyCompleteness, Untold};

/// Most of a kind that are named; the others are counted.
const MOST_NAMED: usize = 5;

/// Some of them by name, all of them by count.
fn named<T>(all: &[T], name: impl Fn(&T) -> String) -> String {
    let mut names: Vec<String> = all.iter().take(MOST_NAMED).map(name).collect();
    if all.len() > MOST_NAMED {
        names.push(format!("{} more", all.len() - MOST_NAMED));
    }
    let last = names.pop().unwrap_or_default();
    if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) }
}

fn gap(gap: &Gap) -> String {
    if gap.from == gap.to { gap.from.to_string() } else { format!("{} to {}", gap.from, gap.to) }
}

/// As the attribute is written, rounded.
fn position(mm: [f64; 3]) -> String {
    // No minus before a zero that came of rounding.
    mm.map(|mm| format!("{}", (mm * 100.0).round() / 100.0 + 0.0)).join("\\")
}

fn run(run: &Run) -> String {
    match run.count {
        1 => position(run.from_mm),
        count => format!("{} to {} ({count})", position(run.from_mm), position(run.to_mm)),
    }
}

fn instances(count: usize) -> String {
    if count == 1 { "1 instance".to_owned() } else { format!("{count} instances") }
}

fn absent(all: &[Absent]) -> Option<String> {
    let first = all.first()?;
    let by = first.listed_by.file_name().map(Path::new).unwrap_or(&first.listed_by);
    let are = if all.len() == 1 { "is" } else { "are" };
    let names = named(all, |one| one.sop_instance_uid.to_string());
    Some(format!("{} listed by {} {are} not there: {names}", instances(all.len()), by.display()))
}

fn lacking(all: &[Lacking]) -> Option<String> {
    let name = |one: &Lacking| format!("{} ({})", number(one.instance_number, &one.sop_instance_uid), one.lack);
    (!all.is_empty())
        .then(|| format!("pixels are not all there in {}: Instance Number {}", instances(all.len()), named(all, name)))
}

fn untold(all: &[Untold]) -> Option<String> {
    let name = |one: &Untold| format!("{} ({})", number(one.instance_number, &one.sop_instance_uid), one.why);
    let of = instances(all.len());
    (!all.is_empty())
        .then(|| format!("nothing tells whether pixels are all there in {of}: Instance Number {}", named(all, name)))
}

fn number(number: Option<i32>, sop_instance_uid: &Uid) -> String {
    number.map_or_else(|| sop_instance_uid.to_string(), |number| number.to_string())
}

fn said(there: usize, said: Option<u32>, of: &str) -> Option<String> {
    let said = said?;
    let agrees = usize::try_from(said).ok()?.cmp(&there);
    agrees.is_ge().then(|| match agrees.is_eq() {
        true => format!("the sender says it has as many ({of})"),
        false => format!("the sender says it has {said} ({of})"),
    })
}

impl Display for SeriesCompleteness {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let number = self.number.map(|number| format!(" {number}")).unwrap_or_default();
        write!(f, "series{number}")?;
        for text in [self.modality.as_str(), self.description.as_str()] {
            if !text.is_empty() {
                write!(f, ", {text}")?;
            }
        }
        write!(f, ": {}", instances(self.instances))?;
        let numbers = &self.numbers;
        if numbers.phases > 1 {
            write!(f, ", numbered through {} times", numbers.phases)?;
        }
        if !numbers.gaps.is_empty() {
            write!(f, "; Instance Numbers left out: {}", named(&numbers.gaps, gap))?;
        }
        if !numbers.thin.is_empty() {
            write!(f, "; Instance Numbers left out of a phase: {}", named(&numbers.thin, i32::to_string))?;
        }
        if let Some((first, _)) = numbers.range.filter(|(first, _)| *first > 1 && self.instances > 1) {
            write!(f, "; Instance Numbers begin at {first}")?;
        }
        if !numbers.repeats.is_empty() {
            write!(f, "; Instance Numbers more than once: {}", named(&numbers.repeats, i32::to_string))?;
        }
        for stack in &self.stacks {
            if !stack.missing.is_empty() {
                write!(f, "; slices missing at {} mm", named(&stack.missing, run))?;
            }
            if !stack.thin.is_empty() {
                write!(f, "; fewer slices than elsewhere at {} mm", named(&stack.thin, run))?;
            }
        }
        for sentence in lacking(&self.lacking).into_iter().chain(untold(&self.untold)) {
            write!(f, "; {sentence}")?;
        }
        let said = said(self.instances, self.said, "0020,1209");
        for sentence in said.into_iter().chain(absent(&self.absent)) {
            write!(f, "; {sentence}")?;
        }
        if !self.is_suspicious() {
            f.write_str("; nothing speaks for missing images")?;
        }
        Ok(())
    }
}

impl Display for StudyCompleteness {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "study {}: {} series, {}", self.study_instance_uid, self.series.len(), instances(self.instances))?;
        let said = said(self.instances, self.said, "0020,1208");
        for sentence in said.into_iter().chain(absent(&self.absent)) {
            write!(f, "; {sentence}")?;
        }
        writeln!(f)?;
        self.series.iter().try_for_each(|series| writeln!(f, "  {series}"))
    }
}

impl Display for Completeness {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.studies.iter().try_for_each(|study| write!(f, "{study}"))?;
        if let Some(sentence) = absent(&self.elsewhere) {
            writeln!(f, "of other studies: {sentence}")?;
        }
        for one in &self.unread {
            writeln!(f, "{} could not be read for what it lists: {}", one.path.display(), one.reason)?;
        }
        if self.quarantined > 0 {
            writeln!(f, "in no study: {} files, each with its reason", self.quarantined)?;
        }
        Ok(())
    }
}
