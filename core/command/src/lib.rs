//! What the command lines of hospitals and of people have in common: how they are given what nobody else is to read, and how they write a file.
//!
//! | | |
//! |---|---|
//! | [`clock`] | the time, read once for all |
//! | [`given`] | secrets and what tells who somebody is: asked for, or read from a file or a descriptor |
//! | [`mod@file`] | files that take nobody's place |
//! | [`said`] | sentences on the output, of errors, and of a command line that is wrong |

pub mod clock;
pub mod file;
pub mod given;
pub mod said;
