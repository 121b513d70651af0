//! DICOM in: a folder of files becomes studies, of which manifests are made.
//!
//! It stands between whatever a modality, an archive or a CD left on the disk and the manifest that a source signs. It promises that
//! every file of the folder is accounted for: as an instance of a study, or named with a
//! sentence that says why not; what a DICOMDIR lists and is not there is named as well. It never changes a byte, and refuses to know what the pixels show.
//!
//! It stands above `clavicle-sandbox`, through whose readers it sees every file, and knows `clavicle-dicom` for what documents say. It is a room of its
//! own because it is neither: what is here walks folders and compares files with one another, and knows neither the bytes of one nor where they are read.
//! In the order in which data flows:
//!
//! | | |
//! |---|---|
//! | [`walk`] | finds the files, and follows no link |
//! | [`reason`] | why a file is in no study |
//! | [`contents`] | what the DICOMDIR of a medium lists, held against what lies there |
//! | [`intake`] | groups into studies and series; finds duplicates, conflicts, mixed patients |
//! | [`accounting`] | what became of each file that was given, for people and for programs |
//! | [`completeness`] | what a study says of its own completeness |
//! | [`selection`] | the standard's own manifest of a study's files: written, and held against a folder |
//! | [`media`] | out again: a File-set with a DICOMDIR, in a folder or a zip |
//!
//! ```no_run
//! use clavicle_imaging::intake::Intake;
//! use clavicle_sandbox::reader::Here;
//!
//! let intake = Intake::of_folder("from-the-cd".as_ref(), &Here)?;
//! let accounting = intake.accounting();
//! println!("{}", accounting.summary("taken"));
//! accounting.lines().iter().for_each(|line| println!("{line}"));
//! # Ok::<(), clavicle_imaging::intake::IntakeError>(())
//! ```

pub mod accounting;
pub mod completeness;
pub mod contents;
pub mod intake;
pub mod media;
pub mod reason;
pub mod selection;
pub mod walk;
