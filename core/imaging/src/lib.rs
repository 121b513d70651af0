//! DICOM in: a folder of files becomes studies, of which manifests are made.
//!
//! It stands between whatever a modality, an archive or a CD left on the disk and the manifest that a source signs. It promises that
//! every file of the folder is accounted for: as an instance of a study, a duplicate, a conflict, or quarantined with a
//! sentence that says why. It never changes a byte, and refuses to know what the pixels show.
//!
//! Files from outside are hostile. In the order in which data flows:
//!
//! | | |
//! |---|---|
//! | [`walk`] | finds the files, and follows no link |
//! | [`files`] | opens them, or what else has their bytes |
//! | [`scan`] | walks a file's elements without believing any length, and picks out the few that are needed |
//! | `content` | digests what goes by: the data set without its encoding, and the pixels alone |
//! | `text` | makes characters of bytes, in whatever character set they are |
//! | [`facts`] | reads the few, each by itself |
//! | [`job`] | all of that for one file, and whatever else is done with one |
//! | [`worker`] | does it in processes of their own, with little memory, little time, and nothing else within reach |
//! | [`reader`] | has it done |
//! | `hands` | many files at once |
//! | [`intake`] | groups into studies and series; finds duplicates, conflicts, mixed patients |
//! | [`frames`] | picks single frames out of an instance, of which the rest stays on the disk |
//! | [`codec`] | decodes one |
//! | [`picture`] | makes of it what a person sees |
//! | [`geometry`] | says where it lies in the patient |
//! | `elements` | walks the sequences of a document that is held in memory |
//! | [`references`] | what Key Object Selections, reports and DICOMDIRs say there should be |
//! | [`completeness`] | what a study says of its own completeness |
//! | [`kos`] | the standard's own manifest, with MACs |
//! | [`selection`] | such a manifest of files: written, and held against a folder |
//!
//! Images leave again as they came, or as somebody's archive needs them:
//!
//! | | |
//! |---|---|
//! | `encode` | elements, put together byte by byte |
//! | [`pick`] | the few attributes that a table of contents holds |
//! | [`media`] | a File-set with a DICOMDIR, in a folder or a zip |
//! | [`rewrite`] | another transfer syntax, another patient id, and nothing else changed |
//!
//! The scan is what makes the rest safe: it has seen each length that a file declares to lie within the input, and what is not in order in a
//! file it says, and has read as it should stand.
//!
//! ```no_run
//! use clavicle_imaging::intake::Intake;
//! use clavicle_sandbox::reader::Here;
//!
//! let intake = Intake::of_folder("from-the-cd".as_ref(), &Here)?;
//! for one in &intake.quarantined {
//!     println!("{}: {}", one.path.display(), one.reason);
//! }
//! # Ok::<(), clavicle_imaging::intake::IntakeError>(())
//! ```

pub mod completeness;
pub mod intake;
pub mod media;
pub mod reason;
pub mod selection;
pub mod walk;
