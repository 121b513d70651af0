//! A workstation without a screen: what is done with the images of a study, by a command line, a window or a phone
//! alike.
//!
//! It stands above the application, which owns the wallet, and above the rooms that read images. What is to be done
//! with a study of a wallet goes one way:
//!
//! ```text
//! App ── OpenOwn, OpenGranted ──► OpenStudy     fetched as far as it can be
//!                                    │ permit    another patient's: never; withdrawn, ended, replaced: only by an explicit word, and on record
//!                                    ▼
//!                                UsableStudy ──► Studies ──► push, export
//!                                    └────────► sealed, pictures, documents: looked at
//! a folder ──────────────────────────────────────────┘
//! ```
//!
//! Hostile bytes are read by the [`Reader`](clavicle_sandbox::reader::Reader) that is passed in, and images of a wallet
//! are opened into memory alone. It knows no command line and no screen, keeps nothing, and asks nobody: what a person
//! has to decide it gives back as an error with a name, what was done as a value that its caller puts into words.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use clavicle_app::{App, OpenGranted, Trouble};
//! use clavicle_sandbox::reader::Reader;
//! use clavicle_workstation::export::export;
//! use clavicle_workstation::studies::Studies;
//! use clavicle_workstation::usage::{Usage, UsableStudy};
//!
//! # async fn story(rossi: App, reader: &dyn Reader) -> Result<(), Box<dyn std::error::Error>> {
//! // What was granted is fetched, if it is not there yet…
//! let open = rossi.send(OpenGranted { begin: "5f1c".to_owned() })?.ended().await?;
//!
//! // …and put on a medium, if nothing speaks against it.
//! let out = Path::new("cd");
//! let study = UsableStudy::permit(&rossi, open, Usage::Export { out }, false).await?;
//! let exported = export(&Studies::in_wallet(&study, reader), reader, out, &mut |done, all| println!("{done} of {all}"))?;
//! println!("{} instances; {}", exported.instances, exported.accounting.summary("written"));
//! # Ok(())
//! # }
//! ```
//!
//! These compute, read and write where they are called: a window calls them from a thread of their own.

mod destination;
pub mod documents;
pub mod export;
pub mod folder;
pub mod pictures;
pub mod push;
pub mod sealed;
pub mod studies;
mod system;
pub mod usage;

pub use self::system::of as in_memory;
