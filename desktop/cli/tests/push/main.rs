//! `clavicle push` and `clavicle export`, with programs that nobody here wrote on the other side.
#![expect(unreachable_pub, reason = "nobody uses a test binary")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod codes;
mod coerced;
mod dicom;
mod export;
mod orthanc;
mod paths;
mod programs;
mod sealed;
#[path = "../../../../core/dimse/tests/dimse/storescp.rs"]
mod storescp;
mod wallet;
mod web;

/// A PDF of two pages, with a red field on the first.
const PDF: &str = "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n\
                   2 0 obj<</Type/Pages/Kids[3 0 R 4 0 R]/Count 2/MediaBox[0 0 200 400]>>endobj\n\
                   3 0 obj<</Type/Page/Parent 2 0 R/Contents 5 0 R>>endobj\n4 0 obj<</Type/Page/Parent 2 0 R>>endobj\n\
                   5 0 obj<</Length 30>>\nstream\n1 0 0 rg 50 100 100 200 re f  \nendstream endobj\n\
                   trailer<</Root 1 0 R>>\n%%EOF\n";
