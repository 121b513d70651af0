//! Two hospitals have images under the same UIDs, and a person has a file of their own where one of them would go. Fetched into one folder, the
//! second took the place of the first, and both took the person's: "as signed".

use std::fs;
use std::os::unix::fs::symlink;

use crate::cluster::{Cluster, files_in, slice};

#[test]
fn what_two_hospitals_say_stands_apart_and_nothing_is_written_over() {
    let cluster = Cluster::running();
    cluster.patient("ana");
    let (_, mine) = slice(3);
    let mut theirs = mine.clone();
    *theirs.last_mut().unwrap() ^= 1;
    let studies = [("mercys", &mine, 0), ("stlukes", &theirs, 1)].map(|(folder, bytes, n)| {
        fs::create_dir(cluster.path(folder)).unwrap();
        fs::write(cluster.path(folder).join("one.dcm"), bytes).unwrap();
        let study = cluster.ingest(n, folder);
        cluster.pick_up(n, &study, "ana");
        study
    });
    let fetch = |study: &str, out: &str| cluster.try_person(&["wallet", "fetch", "--dir", "ana", study, "--out", out]);
    for _ in 0..2 {
        studies.iter().for_each(|study| drop(fetch(study, "images").done()));
        let mut there: Vec<Vec<u8>> =
            files_in(&cluster.path("images")).iter().map(|path| fs::read(path).unwrap()).collect();
        there.sort();
        let mut both = vec![mine.clone(), theirs.clone()];
        both.sort();
        assert!(there == both, "{:?}", files_in(&cluster.path("images")));
    }

    // A person's own file, and a link to one, are named and left as they are.
    let [path, _] = files_in(&cluster.path("images")).try_into().unwrap();
    let study = studies.iter().find(|study| path.to_str().unwrap().contains(&study[..16])).unwrap();
    fs::write(cluster.path("own"), "mine").unwrap();
    for is_link in [false, true] {
        fs::remove_file(&path).unwrap();
        if is_link {
            symlink(cluster.path("own"), &path).unwrap()
        } else {
            fs::write(&path, "mine").unwrap()
        }
        let (code, why) = fetch(study, "images").refused();
        assert!(code == "incomplete" && why.contains(path.to_str().unwrap().rsplit('/').next().unwrap()), "{why}");
        assert!(why.contains("which was left as it is"), "{why}");
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        assert_eq!(fs::symlink_metadata(&path).unwrap().is_symlink(), is_link);
    }
    // Nor is anything written through a folder that is a link.
    let folder = path.parent().unwrap();
    fs::remove_dir_all(folder).unwrap();
    fs::create_dir(cluster.path("elsewhere")).unwrap();
    symlink(cluster.path("elsewhere"), folder).unwrap();
    let (code, why) = fetch(study, "images").refused();
    assert!(code == "incomplete" && why.contains(folder.to_str().unwrap().rsplit('/').next().unwrap()), "{why}");
    assert!(files_in(&cluster.path("elsewhere")).is_empty());
    // Once it is out of the way all is well.
    fs::remove_file(folder).unwrap();
    fetch(study, "images").done();
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
}
