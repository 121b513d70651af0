//! `view`: looks at DICOM files on this machine. What is wrong with them costs a worker at most.

mod report;
mod study;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clavicle_command::file::{Readers, path_text, write_new};
use clavicle_command::said::{many, sentences};
use clavicle_imaging::reason::IntakeError;
use clavicle_ledger::encoding::Text;
use clavicle_pixels::picture::{CT, Picture, Window};
use clavicle_pixels::render::{About, RenderError, Rendered, Wanted, Windowing};
use clavicle_reports::{PdfError, ReportError};
use clavicle_sandbox::ReadError;
use clavicle_sandbox::Workers;
use clavicle_sandbox::reader::Reader;
use clavicle_workstation::documents;
use clavicle_workstation::folder::{FolderContents, FolderDocument};
use clavicle_workstation::pictures::{DrawError, Drawn, MOST_FRAMES, SheetError, encoded, film, first_frame};
use serde_json::{Value, json};

pub use self::report::ReportArguments;
pub(super) use self::study::study;
use super::{Answer, CommandError};

/// Pixels along a side of a picture on a sheet, unless it is said.
const SIDE: u32 = 256;

/// Said wherever pictures leave this program.
const NOT_FOR_DIAGNOSIS: &str = "Not for diagnosis: 8 bits, in one window, on a screen that nobody has checked.";

/// What is to be looked at, and how.
#[derive(Debug, clap::Args)]
pub struct ViewArguments {
    /// A DICOM file, or a folder of them; or a report: .txt, .hl7, FHIR .json, .pdf
    pub path: PathBuf,
    /// How it is to be shown
    #[command(flatten)]
    pub look: Look,
    /// Which frame, from 1; the one in the middle without it. Of a PDF, also one in an instance, which page
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "cine")]
    pub frame: Option<u32>,
    /// Write all frames, as a film (an animated PNG)
    #[arg(long, requires = "png")]
    pub cine: bool,
}

/// How something is to be shown.
#[derive(Debug, clap::Args)]
pub struct Look {
    /// The PNG to write: the image, or of several series a sheet with a picture of each
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// The window: CENTRE,WIDTH, `fitted`, one of the image's own by its name, or a usual one of CT such as brain, lung or bone
    #[arg(long)]
    pub window: Option<WindowArgument>,
    /// Most pixels along a side
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=8192))]
    pub side: Option<u32>,
}

impl Look {
    fn windowing(&self) -> Windowing {
        self.window.clone().map_or_else(Windowing::default, |WindowArgument(windowing)| windowing)
    }

    /// The window's name, as it was typed.
    fn window_name(&self) -> String {
        match self.windowing() {
            Windowing::Named(name) => name.to_string(),
            Windowing::AsItSays | Windowing::Fitted | Windowing::Window { .. } => String::new(),
        }
    }

    /// Refuses a window that nothing would be drawn in.
    fn is_of_a_picture(&self) -> Result<(), ViewError> {
        if self.window.is_some() && self.png.is_none() { Err(ViewError::WithoutPng) } else { Ok(()) }
    }

    /// What is wanted of a picture on a sheet.
    fn on_sheet(&self) -> Wanted {
        let side = self.side.unwrap_or(SIDE).min(1024);
        Wanted { frame: None, windowing: self.windowing(), side: Some(side) }
    }
}

/// A window, as it is typed.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowArgument(Windowing);

impl FromStr for WindowArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "fitted" {
            return Ok(Self(Windowing::Fitted));
        }
        if let Some((centre, width)) = text.split_once(',')
            && let (Ok(centre), Ok(width)) = (centre.trim().parse(), width.trim().parse())
        {
            return match Window::linear(centre, width) {
                Some(_) => Ok(Self(Windowing::Window { centre, width })),
                None => Err("a window is at least 1 wide, and both of its numbers are numbers".to_owned()),
            };
        }
        Text::new(text).map(|name| Self(Windowing::Named(name))).map_err(|_| "no window has such a name".to_owned())
    }
}

/// Why there is nothing to see.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The file cannot be read.
    #[error("{path} cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        reason: ReadError,
    },
    /// It can be read, and not be shown.
    #[error("{path} cannot be shown")]
    Render {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: RenderError,
    },
    /// A window that nothing has.
    #[error("--window {name} cannot be used: {}", windows(own))]
    Window {
        /// What was asked for.
        name: String,
        /// Those that there are, by their names, but for the usual ones of CT.
        own: Vec<Text<64>>,
    },
    /// A window of nothing.
    #[error("--window says how a picture is drawn, and none is drawn of a folder or a study without --png")]
    WithoutPng,
    /// A report that is none.
    #[error("{path} cannot be shown")]
    Report {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: ReportError,
    },
    /// A document in an instance that cannot be shown.
    #[error("{path} cannot be shown: {why}")]
    Document {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A picture of words.
    #[error("the report is text, of which no picture is drawn: leave out --png")]
    IsText,
    /// A page that cannot be drawn.
    #[error("page {page} of {path} cannot be shown")]
    Page {
        /// Of which PDF.
        path: PathBuf,
        /// Which page.
        page: u32,
        /// Why.
        #[source]
        error: PdfError,
    },
    /// Not in the list.
    #[error("the study has no report {0}: view it without --report to see which there are")]
    NoReport(u32),
    /// One that is not to be shown alone.
    #[error(
        "report {0} cannot be shown by itself: it did not arrive, or is neither text nor a PDF; export it to see it"
    )]
    NotHere(u32),
    /// The folder.
    #[error(transparent)]
    Folder(#[from] IntakeError),
    /// Nothing in the folder is an image.
    #[error("nothing in {0} is an image that can be shown")]
    Nothing(PathBuf),
    /// For a file alone.
    #[error("--frame and --cine are for a file; of a folder a sheet is made, with a picture of each series")]
    OfAFile,
    /// A film that is none.
    #[error("the image has {0} frames, and a film is made of 2 to {MOST_FRAMES}")]
    Frames(u32),
    /// The picture.
    #[error("{path} cannot be written")]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// What was fetched.
    #[error("what was fetched cannot be read")]
    Cache(#[source] io::Error),
    /// The processes that read files.
    #[error("this program cannot be found any more, which is to be started again to read files")]
    Workers(#[source] io::Error),
}

/// Which windows there are, in a sentence.
fn windows(own: &[Text<64>]) -> String {
    let own = if own.is_empty() {
        "there is no window of that name, and none of the image's own has a name".to_owned()
    } else {
        format!("there is no window of that name; the image's own are {}", listed(own.iter().map(Text::as_str)))
    };
    let usual = listed(CT.iter().map(|(name, ..)| *name));
    format!("{own}, usual ones of CT are {usual}, and CENTRE,WIDTH or `fitted` is always there")
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// The sheet with all that was drawn. Where there is none, it is said whether that is for the window alone.
fn sheet(drawn: Drawn, look: &Look, of: &Path) -> Result<Picture, ViewError> {
    drawn.sheet().map_err(|error| match error {
        SheetError::Window { own } => ViewError::Window { name: look.window_name(), own },
        _ => ViewError::Nothing(of.to_owned()),
    })
}

/// Looks.
///
/// # Errors
/// [`ViewError`], or what was seen where not all of it can be shown.
pub(super) fn run(arguments: &ViewArguments) -> Result<Answer, CommandError> {
    let reader = Workers::of_this_program().map_err(ViewError::Workers)?;
    if arguments.path.is_dir() { folder(arguments, &reader) } else { file(arguments, &reader) }
}

fn file(arguments: &ViewArguments, reader: &dyn Reader) -> Result<Answer, CommandError> {
    // Who names a link means what it leads to.
    let path = fs::canonicalize(&arguments.path)
        .map_err(|error| ViewError::File { path: arguments.path.clone(), reason: ReadError::Io(error) })?;
    if let Some(media_type) = report::kind_of(&path) {
        return Ok(report::file(&path, media_type, (&arguments.look, arguments.frame.unwrap_or(1)), reader)?);
    }
    let wanted = Wanted {
        frame: arguments.frame.map(|frame| frame - 1).or(arguments.cine.then_some(0)),
        windowing: arguments.look.windowing(),
        side: arguments.look.side,
    };
    let facts = reader.inspect_one(&path).ok().map(|seen| seen.facts);
    if let Some(class) = facts.as_ref().map(|facts| facts.sop_class_uid).filter(documents::is_document)
        && !arguments.cine
    {
        return Ok(report::instance(&path, &class, (&arguments.look, arguments.frame.unwrap_or(1)), reader)?);
    }
    let rendered = if arguments.cine {
        first_frame(reader, &path, &wanted).map_err(|error| not_drawn(&path, &wanted, error))
    } else {
        render(reader, &path, &wanted)
    };
    let Rendered { picture, about } = rendered?;
    let mut bad_frames = Vec::new();
    if let Some(png) = &arguments.look.png {
        let bytes = if arguments.cine {
            let film = film(reader, &path, &wanted, about.frames);
            let film = film.map_err(|error| not_drawn(&path, &wanted, error))?;
            bad_frames = film.bad_frames;
            film.png
        } else {
            encoded(&picture)
        };
        write(png, &bytes)?;
    }
    let About { rows, columns, frames, frame, presets, unit, depth_mm, .. } = &about;
    let named: Vec<&str> = presets.iter().map(Text::as_str).filter(|name| !name.is_empty()).collect();
    let mut lines = Vec::new();
    if let Some(facts) = &facts {
        let what = [facts.modality.as_str(), facts.body_part.as_str(), facts.series_description.as_str()];
        lines.push(what.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", "));
    }
    lines.push(format!("{columns} × {rows} pixels, frame {} of {frames}", frame + 1));
    if let Some(depth) = depth_mm {
        lines.push(format!("at {depth:.1} mm along its normal"));
    }
    if !named.is_empty() {
        lines.push(format!("windows of its own: {}", named.join(", ")));
    }
    if unit.as_str() == "HU" {
        let usual: Vec<&str> = CT.iter().map(|(name, ..)| *name).collect();
        lines.push(format!("usual windows: {}", usual.join(", ")));
    }
    let remarks: Vec<String> = about.remarks.iter().map(ToString::to_string).collect();
    lines.extend(remarks.iter().cloned());
    lines.extend(bad_frames.iter().map(|(frame, why)| format!("frame {frame} cannot be shown, and is black: {why}")));
    lines.extend(said(arguments.look.png.as_deref()));
    let shortfall = (!bad_frames.is_empty()).then(|| {
        let (bad, first) = (bad_frames.len(), bad_frames.first().map_or(0, |(frame, _)| *frame));
        format!(
            "{bad} of {} cannot be shown, and black stands in that place; the first is frame {first}",
            many(*frames, "frame", "frames")
        )
    });
    let bad_frames: Vec<Value> =
        bad_frames.into_iter().map(|(frame, why)| json!({ "frame": frame, "reason": why })).collect();
    let json = json!({
        "remarks": remarks, "bad_frames": bad_frames,
        "rows": rows, "columns": columns, "frames": frames, "frame": frame + 1, "windows": named, "unit": unit.as_str(),
        "depth_mm": depth_mm, "modality": facts.map(|facts| facts.modality.to_string()), "png": arguments.look.png.as_deref().map(path_text),
    });
    CommandError::unless_all(shortfall, "incomplete", Answer { text: lines.join("\n"), json })
}

fn folder(arguments: &ViewArguments, reader: &dyn Reader) -> Result<Answer, CommandError> {
    if arguments.frame.is_some() || arguments.cine {
        return Err(ViewError::OfAFile.into());
    }
    arguments.look.is_of_a_picture()?;
    let wanted = arguments.look.png.is_some().then(|| arguments.look.on_sheet());
    let contents = FolderContents::read(&arguments.path, wanted.as_ref(), reader)?;
    let (mut lines, mut rows) = (Vec::new(), Vec::<Value>::new());
    let mut before = None;
    for ((study, series), no_picture) in contents.series().zip(&contents.no_pictures) {
        if before.replace(study.study_instance_uid) != Some(study.study_instance_uid) {
            let date = study.study_date.map_or_else(|| "no date".to_owned(), |date| date.to_string());
            lines.push(format!("{date}  {}", study.description));
        }
        let number = series.number.map_or_else(|| "–".to_owned(), |number| number.to_string());
        let (modality, count) = (series.modality.as_str(), series.instances.len());
        let mut line = format!("  {number:>4}  {modality:<4} {count:>5} instances  {}", series.description);
        let no_picture = no_picture.as_ref().map(|why| sentences(why));
        line.extend(no_picture.as_ref().map(|why| format!("  (no picture: {why})")));
        rows.push(json!({
            "study": study.study_instance_uid.as_str(), "series": series.series_instance_uid.as_str(),
            "number": series.number, "modality": modality, "instances": count,
            "description": series.description.as_str(), "no_picture": no_picture,
        }));
        lines.push(line);
    }
    let FolderContents { intake, drawn, documents, more_documents, accounting, .. } = contents;
    let (read, reports): (Vec<String>, Vec<Value>) = documents.iter().map(|one| document(one, reader)).unzip();
    lines.extend(read);
    if more_documents > 0 {
        let more = many(more_documents, "more report is", "more reports are");
        lines.push(format!("{more} in the folder; such are read one by one by their files"));
    }
    lines.extend(
        intake.repairs().iter().map(|(repair, files)| format!("in {} {repair}", many(*files, "file", "files"))),
    );
    if let Some(png) = &arguments.look.png {
        let sheet = sheet(drawn, &arguments.look, &arguments.path)?;
        write(png, &encoded(&sheet))?;
    }
    lines.push(format!("{} series; {}", rows.len(), accounting.summary("taken")));
    lines.extend(accounting.lines());
    lines.extend(said(arguments.look.png.as_deref()));
    let json = json!({
        "series": rows, "reports": reports, "accounting": accounting, "png": arguments.look.png.as_deref().map(path_text),
    });
    let answer = Answer { text: lines.join("\n"), json };
    CommandError::unless_all(accounting.shortfall("taken"), "incomplete", answer)
}

/// A document among the instances of a folder: its words, or what stands in their place.
fn document(FolderDocument { path, file, read }: &FolderDocument, reader: &dyn Reader) -> (String, Value) {
    let title = if read.content.title.is_empty() { "report" } else { &read.content.title };
    let how = format!("view {} --frame 1 --png FILE", path.display());
    let instead = report::instead(read, file, reader, &how);
    let heading = report::heading(title, read.kind, &read.content);
    let line = match &instead {
        None => format!("{heading}, {}:\n{}", path.display(), report::body(&read.content)),
        Some(instead) => format!("{heading}, {}: {instead}", path.display()),
    };
    let mut row = report::row(title, read.kind, Some(&read.content));
    row["file"] = json!(path_text(path));
    row["not_shown"] = json!(instead);
    (line, row)
}

fn render(reader: &dyn Reader, path: &Path, wanted: &Wanted) -> Result<Rendered, ViewError> {
    let rendered = reader.render(path, wanted).map_err(|reason| ViewError::File { path: path.to_owned(), reason })?;
    rendered.map_err(|error| not_rendered(path, wanted, error))
}

/// Whether the window is at fault, or the image.
fn not_rendered(path: &Path, wanted: &Wanted, error: RenderError) -> ViewError {
    match (error, &wanted.windowing) {
        (RenderError::NoSuchWindow { own }, Windowing::Named(name)) => {
            ViewError::Window { name: name.to_string(), own }
        }
        (error, _) => ViewError::Render { path: path.to_owned(), error },
    }
}

/// Why there is no picture of a file.
fn not_drawn(path: &Path, wanted: &Wanted, error: DrawError) -> ViewError {
    match error {
        DrawError::Read(reason) => ViewError::File { path: path.to_owned(), reason },
        DrawError::Render(error) => not_rendered(path, wanted, error),
        DrawError::Frames(frames) => ViewError::Frames(frames),
        DrawError::Write(error) => ViewError::Write { path: path.to_owned(), error },
    }
}

fn said(png: Option<&Path>) -> Vec<String> {
    png.map(|png| format!("written to {}. {NOT_FOR_DIAGNOSIS}", png.display())).into_iter().collect()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ViewError> {
    write_new(path, bytes, Readers::Usual).map_err(|error| ViewError::Write { path: path.to_owned(), error })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_two_numbers_or_a_name() {
        let parsed = |text: &str| text.parse::<WindowArgument>().unwrap().0;
        assert_eq!(parsed("40,400"), Windowing::Window { centre: 40.0, width: 400.0 });
        assert_eq!(parsed("-600, 1500"), Windowing::Window { centre: -600.0, width: 1500.0 });
        assert_eq!(parsed("fitted"), Windowing::Fitted);
        assert_eq!(parsed("soft tissue"), Windowing::Named(Text::new("soft tissue").unwrap()));
        for wrong in ["\u{7}", "40,0.5", "40,-400", "nan,400"] {
            assert!(wrong.parse::<WindowArgument>().is_err(), "{wrong}");
        }
    }
}
