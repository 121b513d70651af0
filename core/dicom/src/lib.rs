//! DICOM as bytes: what stands in a file, read without believing it, and written byte by byte.
//!
//! It stands below everything that knows DICOM. All of it are functions over bytes, the same on every system: it opens no file, knows no process,
//! and needs none of Unix. It promises that no length that a file declares is believed, and that what it writes says what was read. It refuses to
//! know what pixels look like: those are decoded by whoever asks, above.
//!
//! In the order in which data flows:
//!
//! | | |
//! |---|---|
//! | [`scan`] | walks a file's elements, and picks out the few that are needed |
//! | [`scanned`] | what it found: where the pixels are, and how the data set is to be read |
//! | [`repair`] | what is not in order, and was read as it should stand |
//! | [`unreadable`] | why a file is no instance |
//! | [`content`] | digests what goes by: the data set without its encoding, and the pixels alone |
//! | [`encoding`] | what elements are written in |
//! | [`syntax`] | how pixels are encoded, by the transfer syntax |
//! | [`layout`] | what a data set says of its pixels |
//! | [`kind`] | what an instance is, by its class |
//! | [`text`] | makes characters of bytes, in whatever character set they are |
//! | [`facts`] | reads the few attributes, each by itself |
//! | `elements` | walks the sequences of a document that is held in memory |
//! | [`pick`] | the few attributes that a table of contents holds, and those that say whose it is |
//! | [`content_tree`] | what a structured report says, item by item |
//! | [`encapsulated`] | a document in an instance |
//! | [`references`] | what Key Object Selections, reports and DICOMDIRs say there should be |
//!
//! And back:
//!
//! | | |
//! |---|---|
//! | [`encode`] | elements, put together byte by byte |
//! | `recode` | elements of one encoding in another |
//! | [`rewrite`] | another transfer syntax, another patient id, and nothing else changed |
//! | [`kos`] | the standard's own manifest, with MACs |
//! | [`document`] | a report that is none, made a document |
//! | [`file_set`] | the DICOMDIR of a File-set |
//! | [`implementation`] | what this program calls itself |
//!
//! The scan is what makes the rest safe: it has seen each length that a file declares to lie within the input.
//!
//! ```
//! use std::io::Cursor;
//!
//! use clavicle_dicom::Unreadable;
//! use clavicle_dicom::scan::scan;
//!
//! let cut_off = [&[0; 128][..], b"DICM", &[2, 0, 0]].concat();
//! let len = cut_off.len() as u64;
//! assert_eq!(scan(Cursor::new(cut_off), len).unwrap_err(), Unreadable::Missing(dicom_core::Tag(0x0002, 0x0010).into()));
//! ```

pub mod content;
pub mod content_tree;
pub mod document;
mod elements;
pub mod encapsulated;
pub mod encode;
pub mod encoding;
pub mod facts;
pub mod file_set;
pub mod implementation;
pub mod kind;
pub mod kos;
pub mod layout;
pub mod pick;
mod recode;
pub mod references;
pub mod repair;
pub mod rewrite;
pub mod scan;
pub mod scanned;
pub mod syntax;
pub mod text;
pub mod unreadable;

pub use repair::Repair;
pub use unreadable::Unreadable;
