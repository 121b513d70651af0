//! The command line of patients and recipients.

fn main() {}
