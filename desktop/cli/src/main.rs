//! The command line of patients and recipients.

use std::process::ExitCode;

fn main() -> ExitCode {
    clavicle::main()
}
