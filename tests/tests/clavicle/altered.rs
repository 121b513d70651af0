//! Bytes altered on the source's disk: found by whoever fetches, by name, and fetched again once they are right.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::cluster::{Cluster, brain, files_in};

/// A file of the study that arrived, and the place of its bytes on the source's disk.
struct Image {
    sop_instance_uid: String,
    bytes: Vec<u8>,
    place: PathBuf,
}

/// Everything that arrived in a folder, by SOP Instance UID.
fn images(cluster: &Cluster, folder: &str) -> Vec<Image> {
    let archive: Vec<(PathBuf, Vec<u8>)> = files_in(&cluster.home(0).archive_folder())
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    let image = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        let place = archive.iter().find(|(_, there)| *there == bytes).unwrap().0.clone();
        Image { sop_instance_uid: path.file_stem().unwrap().to_str().unwrap().to_owned(), bytes, place }
    };
    files_in(&cluster.path(folder)).iter().map(image).collect()
}

#[test]
fn what_was_altered_at_the_source_is_named_and_once_repaired_only_that_travels_again() {
    let cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    brain(&cluster, "disc", 1..=20);
    let study = cluster.ingest(0, "disc");
    cluster.pick_up(0, &study, "ana");
    cluster.grant("ana", &study, &cluster.card("rossi"));
    let fetch = |out: &str| cluster.try_person(&["recipient", "fetch", "--dir", "rossi", "--out", out]);
    fetch("first").done();
    let all = images(&cluster, "first");
    assert_eq!(all.len(), 20);

    let [flipped, truncated, removed] = [&all[3], &all[9], &all[17]];
    let mut bytes = flipped.bytes.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&flipped.place, bytes).unwrap();
    fs::write(&truncated.place, &truncated.bytes[..truncated.bytes.len() - 1]).unwrap();
    fs::remove_file(&removed.place).unwrap();
    let altered = [flipped, truncated, removed];

    for _ in 0..2 {
        let (code, why) = fetch("images").refused();
        assert_eq!(code, "incomplete", "{why}");
        assert!(why.contains("17 of 20 instances as signed"), "{why}");
        for image in &all {
            let wrong = altered.iter().any(|one| one.sop_instance_uid == image.sop_instance_uid);
            assert_eq!(why.contains(&image.sop_instance_uid), wrong, "{}: {why}", image.sop_instance_uid);
        }
        let arrived = files_in(&cluster.path("images"));
        let intact = |image: &Image| {
            let name = format!("{}.dcm", image.sop_instance_uid);
            let path = arrived.iter().find(|path| path.file_name().unwrap().to_str() == Some(&name));
            path.is_some_and(|path| fs::read(path).unwrap() == image.bytes)
        };
        assert_eq!(all.iter().filter(|image| intact(image)).count(), 17);
        assert_eq!(arrived.len(), 17, "what is not as signed is not left there: {arrived:?}");
    }
    // The patient's own copy tells the same.
    let own = cluster.try_person(&["wallet", "fetch", "--dir", "ana", &study, "--out", "own"]).refused();
    assert_eq!(own.0, "incomplete", "{}", own.1);

    for image in altered {
        fs::write(&image.place, &image.bytes).unwrap();
    }
    let fetched = fetch("images").done();
    let travelled: usize = altered.iter().map(|image| image.bytes.len()).sum();
    let expected = (&Value::from(20), &Value::from(17), &Value::from(travelled));
    let row = &fetched["fetched"][0];
    assert_eq!((&row["intact"], &row["before"], &row["bytes"]), expected, "{fetched}");
}

#[test]
fn what_was_altered_on_the_recipients_own_disk_is_named_and_fetched_again_once_it_is_out_of_the_way() {
    let cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    brain(&cluster, "disc", 2..=5);
    let study = cluster.ingest(0, "disc");
    cluster.pick_up(0, &study, "ana");
    cluster.grant("ana", &study, &cluster.card("rossi"));
    let fetch = ["recipient", "fetch", "--dir", "rossi", "--out", "images"];
    cluster.person(&fetch);
    let [first, second, third, fourth] = files_in(&cluster.path("images")).try_into().unwrap();
    let right = [&first, &second, &third, &fourth].map(|path| fs::read(path).unwrap());
    let mut flipped = right[0].clone();
    flipped[200] ^= 1;
    fs::write(&first, &flipped).unwrap();
    fs::write(&second, &right[1][..1000]).unwrap();
    // Nothing is written through a link to elsewhere.
    fs::write(cluster.path("elsewhere"), "mine").unwrap();
    fs::remove_file(&third).unwrap();
    std::os::unix::fs::symlink(cluster.path("elsewhere"), &third).unwrap();
    fs::remove_file(&fourth).unwrap();
    // It may be somebody's work: it is named, and left. What is missing comes.
    let (code, why) = cluster.try_person(&fetch).refused();
    assert!(code == "incomplete" && why.contains("1 of 4 instances as signed; 3 altered"), "{why}");
    assert!(why.contains("1000 bytes instead of") && why.contains("and 2 more, which was left as it is"), "{why}");
    assert_eq!(fs::read(&first).unwrap(), flipped);
    assert_eq!(fs::read(&second).unwrap(), right[1][..1000]);
    assert!(fs::symlink_metadata(&third).unwrap().is_symlink() && fs::read(&fourth).unwrap() == right[3]);
    for path in [&first, &second, &third] {
        fs::remove_file(path).unwrap();
    }
    let fetched = cluster.person(&fetch);
    assert_eq!(
        (&fetched["fetched"][0]["intact"], &fetched["fetched"][0]["before"]),
        (&4.into(), &1.into()),
        "{fetched}"
    );
    for (path, right) in [first, second, third, fourth].iter().zip(&right) {
        assert!(
            fs::symlink_metadata(path).unwrap().is_file() && fs::read(path).unwrap() == *right,
            "{}",
            path.display()
        );
    }
    assert_eq!(fs::read_to_string(cluster.path("elsewhere")).unwrap(), "mine");
}
