//! The command line of a hospital's node.

use std::process::ExitCode;

fn main() -> ExitCode {
    clavicle_relay::main()
}
