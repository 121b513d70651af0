//! The relay's tests, from outside.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod archive;
mod catalogue;
mod chain;
mod clocks;
mod cluster;
mod commands;
mod counter;
mod directory;
mod endings;
mod ingest;
mod journal;
mod keeper;
mod mailboxes;
mod members;
mod notices;
mod openings;
mod packed;
mod pickups;
mod publication;
mod receipts;
mod reception;
mod reports;
mod seen;
mod store;
mod submission;
mod transcripts;
