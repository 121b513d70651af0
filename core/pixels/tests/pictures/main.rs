//! Frames and pictures against programs that nobody here wrote: pydicom and its decoders in [`pydicom`], dcmtk in [`dcmtk`], and
//! in [`other`] the reference implementation of JPEG XL and, once more, OpenJPEG through pydicom. [`pipeline`] is by hand.
#![expect(unreachable_pub, reason = "nobody uses a test binary")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../imaging/tests/imaging/damaged.rs"]
mod damaged;
mod dcmtk;
mod field;
mod harmed;
mod made;
mod oracle;
mod other;
mod pipeline;
mod pydicom;
