//! `clavicle`, built with these tests from the code as it is now.

fn main() -> std::process::ExitCode {
    clavicle::main()
}
