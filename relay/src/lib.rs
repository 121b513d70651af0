//! The hospital's node: it keeps the chain, serves studies to those granted, and takes part in agreement.
//!
//! A relay's [`home`] is a folder with its settings, its [`keys`] and its stores. The [`network_file`] says which network it is
//! of. [`store`] is what it keeps on disk, [`mempool`] what waits for a block, [`archive`] the images; [`keeper`] builds, judges and
//! commits blocks. [`command`] is what its operator can say to it.

pub mod archive;
pub mod challenge;
pub mod command;
pub mod control;
pub mod home;
pub mod keeper;
pub mod keys;
pub mod mempool;
pub mod network_file;
pub mod service;
pub mod store;
