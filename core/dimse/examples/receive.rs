//! Receives what is sent to it, and prints a line for each object:
//! `cargo run -p clavicle-dimse --example receive -- --listen 127.0.0.1:11112 FOLDER`.
//!
//! It answers to any AE title, prints where it listens first, and stops when its standard input ends.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clavicle_dimse::{AeTitle, Called, Ended, Received, Refusal, Scp, Settings, Sink};

struct Print;

impl Sink for Print {
    fn received(&self, object: &Received) -> Result<(), Refusal> {
        let Received { path, size, sop_class_uid, transfer_syntax_uid, calling, .. } = object;
        println!("{} {size} bytes, {sop_class_uid} in {transfer_syntax_uid}, from {calling}", path.display());
        Ok(())
    }

    fn ended(&self, association: &Ended) {
        let Ended { peer, stored, refused, bytes, lasted, end, .. } = association;
        println!("{peer}: {stored} stored, {refused} refused, {bytes} bytes in {lasted:?}; {end}");
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (listen, folder) = match arguments.as_slice() {
        [option, listen, folder] if option == "--listen" => (listen.as_str(), folder),
        [folder] => ("127.0.0.1:11112", folder),
        _ => return Err("where to? receive [--listen ADDRESS:PORT] FOLDER".into()),
    };
    let mut settings = Settings::new(listen.parse()?, AeTitle::new("CLAVICLE")?, PathBuf::from(folder));
    settings.called = Called::Any;
    let scp = Scp::bind(settings, Arc::new(Print))?;
    println!("listening on {}", scp.address());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    scp.stop();
    Ok(())
}
