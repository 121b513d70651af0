//! With the catalogue gone, `check` called every image stray, exited with 0 and advised `--remove-stray`, which deleted them all.

use std::fs;

use crate::cluster::{Cluster, brain, files_in};
use crate::people::text;

#[test]
fn a_lost_catalogue_is_missed_and_rebuilt_and_nothing_that_a_record_names_goes() {
    let cluster = Cluster::empty();
    cluster.hospital(&["init", "--dir", "mercy", "--name", "Mercy"]);
    cluster.hospital(&["genesis", "--out", "network.json", "mercy/source.json"]);
    fs::copy(cluster.path("network.json"), cluster.path("mercy/network.json")).unwrap();
    brain(&cluster, "files", 1..=3);
    let study = cluster.ingest(0, "files");
    let images = || {
        let all = files_in(&cluster.home(0).archive_folder());
        let is_image =
            |path: &std::path::PathBuf| !path.to_string_lossy().contains("/studies/") && path.extension().is_none();
        all.into_iter().filter(is_image).collect::<Vec<_>>()
    };
    let before = images();
    assert_eq!(before.len(), 3);
    assert_eq!(cluster.hospital(&["check", "--dir", "mercy"])["accounting"]["taken"], 3);

    fs::remove_file(cluster.home(0).catalogue_file()).unwrap();
    let commands: [&[&str]; 4] = [
        &["check", "--dir", "mercy"],
        &["check", "--dir", "mercy", "--remove-stray"],
        &["check", "--dir", "mercy", "--remove-stray", "--confirm", "3"],
        &["run", "--dir", "mercy"],
    ];
    for command in commands {
        let said = cluster.try_hospital(command);
        assert_eq!(said.code, Some(66), "{said:?}");
        let (_, why) = said.refused();
        assert!(why.contains("mercy/catalogue.redb is missing") && why.contains("`clavicle-relay rebuild`"), "{why}");
    }
    // Begun anew by the word of somebody who did not read on: it has all that the records have, and nothing is stray.
    cluster.hospital(&["renew", "--dir", "mercy", "catalogue"]);
    for command in &commands[..2] {
        let found = cluster.hospital(command);
        assert_eq!(
            (&found["accounting"]["taken"], found["stray"].as_array().unwrap().len()),
            (&3.into(), 0),
            "{found}"
        );
    }
    assert_eq!(cluster.hospital(&["studies", "--dir", "mercy"])["studies"][0]["study"], study.as_str());
    assert_eq!(images(), before);

    fs::remove_file(cluster.home(0).catalogue_file()).unwrap();
    assert_eq!(cluster.hospital(&["rebuild", "--dir", "mercy"])["studies"][0], study.as_str());
    assert_eq!(cluster.hospital(&["check", "--dir", "mercy"])["accounting"]["taken"], 3);
    assert_eq!(cluster.hospital(&["studies", "--dir", "mercy"])["studies"][0]["instances"], 3);

    // What is missing or stray is said by the exit code, too, and goes only when that list is confirmed: another one that is as long is not.
    fs::write(before[0].with_file_name("0".repeat(62)), "left by a kill").unwrap();
    let said = cluster.try_hospital(&["check", "--dir", "mercy", "--remove-stray"]);
    assert_eq!((said.code, said.refused().0.as_str()), (Some(1), "confirm"), "{said:?}");
    assert_eq!(images().len(), 4);
    let digest = text(&said.object()["digest"]);
    fs::rename(before[0].with_file_name("0".repeat(62)), before[0].with_file_name("1".repeat(62))).unwrap();
    for given in ["1", &digest] {
        let said = cluster.try_hospital(&["check", "--dir", "mercy", "--remove-stray", "--confirm", given]);
        assert_eq!((said.code, said.refused().0.as_str()), (Some(1), "confirm"), "{said:?}");
    }
    assert_eq!(images().len(), 4);
    let digest = text(&cluster.try_hospital(&["check", "--dir", "mercy"]).object()["digest"]);
    let removed = cluster.hospital(&["check", "--dir", "mercy", "--remove-stray", "--confirm", &digest]);
    assert_eq!((&removed["removed"], images()), (&true.into(), before.clone()));
    fs::remove_file(&before[0]).unwrap();
    let said = cluster.try_hospital(&["check", "--dir", "mercy"]);
    assert_eq!((said.code, said.refused().0.as_str()), (Some(1), "check"), "{said:?}");
}
