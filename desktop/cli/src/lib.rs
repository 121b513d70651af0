//! The command line of patients and recipients.
