//! `clavicle-mobile-bindgen LIBRARY FOLDER`

use std::process::ExitCode;

use camino::Utf8Path;
use clavicle_mobile_bindgen::write_bindings;

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [library, folder] = given.as_slice() else {
        eprintln!("usage: clavicle-mobile-bindgen LIBRARY FOLDER");
        return ExitCode::from(2);
    };
    match write_bindings(Utf8Path::new(library), Utf8Path::new(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("no bindings of {library} were written: {error:#}");
            ExitCode::FAILURE
        }
    }
}
