//! The operation that the README adds is a file and a line, and is asked in every way: by a command over the socket of a relay, and on its stores.

use std::path::Path;

use clap::{CommandFactory as _, Parser as _};

use crate::answer::Failure;
use crate::command::{self, Arguments};
use crate::control;
use crate::home::Home;
use crate::operations::held::Held;
use crate::service;

fn run(words: &[&str]) -> Result<String, Failure> {
    let arguments = Arguments::try_parse_from([&["clavicle-relay"], words].concat()).unwrap();
    let is_json = arguments.json;
    command::run(arguments).map(|answer| if is_json { answer.json.to_string() } else { answer.text })
}

/// A relay that is of a network of its own.
fn mercy(folder: &Path) -> (String, Home) {
    let paths = ["mercy", "mercy/source.json", "mercy/network.json"].map(|path| folder.join(path));
    let [dir, source, out] = paths.each_ref().map(|path| path.to_str().unwrap());
    run(&["init", "--dir", dir, "--name", "Mercy"]).unwrap();
    run(&["genesis", "--out", out, source]).unwrap();
    (dir.to_owned(), Home::at(Path::new(dir)))
}

#[test]
fn it_is_asked_over_a_real_socket_and_on_the_stores() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, home) = mercy(folder.path());
    assert_eq!(run(&["held", "--dir", &dir]).unwrap(), "0 studies");
    assert_eq!(run(&["held", "--dir", &dir, "--not", "--json"]).unwrap(), r#"{"studies":0}"#);

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let service = service::open(&home, command::EDGE).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (socket, served) = (home.socket(), home.socket());
    let serving = runtime.spawn(async move {
        control::serve(&served, service, async move { drop(stopped.await) }).await.unwrap();
    });
    // Its stores are taken: what answers is the socket.
    assert_eq!(run(&["held", "--dir", &dir]).unwrap(), "0 studies");
    assert!(home.is_served());
    let row = runtime.block_on(control::ask(&socket, &Held { not: true })).unwrap();
    assert_eq!(serde_json::to_string(&row).unwrap(), r#"{"studies":0}"#);
    stop.send(()).unwrap();
    runtime.block_on(serving).unwrap();
}

#[test]
fn the_readme_shows_the_whole_of_it() {
    let (readme, file) = (include_str!("../../README.md"), include_str!("../operations/held.rs"));
    assert!(readme.contains(file), "the file in the README is not the one that is tested");
    let list = include_str!("../operations/mod.rs");
    let line = "held::Held,";
    assert!(list.contains(line) && readme.contains(line));
    let help = Arguments::command().render_long_help().to_string();
    assert!(help.contains("Tell how many studies somebody holds"), "{help}");
}
