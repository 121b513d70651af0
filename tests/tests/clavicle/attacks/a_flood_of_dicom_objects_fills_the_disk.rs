//! Twelve junk objects from an anonymous DICOM peer filled the disk, and the relay died. Here its folder lies on a small disk of its own, in a mount
//! namespace that is gone with it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use clavicle_relay::operations::status::RelayStatus;
use clavicle_relay::room::DiskSettings;

use crate::cluster::{Cluster, HOSPITAL, HOSPITALS, files_in, with};
use crate::image::Image;
use crate::people::{PIN, text};
use crate::process::{Doing, program, until};

const MIB: u64 = 1 << 20;
const RESERVE_MIB: u32 = 32;

const ON_A_SMALL_DISK: &str = r#"
set -eu
cp -a mercy aside
mount -t tmpfs -o size=96m,mode=700 none mercy
cp -a aside/. mercy
exec "$HOSPITAL" run --dir mercy --network network.json
"#;

/// Sends files as `title`, all in one association whatever becomes of each: how many were taken, not understood, and refused for want of room.
#[track_caller]
fn send(at: SocketAddr, title: &str, files: &[PathBuf]) -> [usize; 3] {
    let mut command = Command::new("storescu");
    command.args(["-v", "-nh", "-xe", "-aet", title, "-aec", "CLAVICLE", &at.ip().to_string(), &at.port().to_string()]);
    let said = command.args(files).output().unwrap();
    let log = [said.stdout, said.stderr].concat();
    let log = String::from_utf8_lossy(&log).into_owned();
    let count =
        |what: &str| log.lines().filter(|line| line.contains("Received Store Response") && line.contains(what)).count();
    let counted = [count("(Success)"), count("CannotUnderstand"), count("OutOfResources")];
    assert_eq!(counted.iter().sum::<usize>(), files.len(), "{log}");
    counted
}

fn write(folder: &Path, files: impl Iterator<Item = Vec<u8>>) -> Vec<PathBuf> {
    fs::create_dir(folder).unwrap();
    let write = |(number, bytes): (usize, Vec<u8>)| {
        let path = folder.join(format!("{number:02}"));
        fs::write(&path, bytes).unwrap();
        path
    };
    files.enumerate().map(write).collect()
}

fn image(series: u32, number: u32, pixels: u64) -> Vec<u8> {
    let pixels = usize::try_from(pixels).unwrap();
    Image { study: series, series, number, patient: "P1", born: "19700101", accession: "", pixels }.file()
}

#[test]
fn a_relay_under_a_flood_goes_on_deciding_and_takes_a_revocation() {
    let mut cluster = Cluster::made();
    let home = cluster.home(0);
    let mut settings = home.settings().unwrap();
    let dicom = SocketAddr::new(settings.listen.network.ip(), 11_112);
    settings.intake.dicom = Some(dicom);
    settings.disk = DiskSettings { reserve_mib: Some(RESERVE_MIB), incoming_mib: 256, quarantine_mib: 64 };
    home.write_settings(&settings).unwrap();
    (1..4).for_each(|n| cluster.start(n));
    let mut command = program("unshare", cluster.folder());
    command.args(["--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK]).env("HOSPITAL", HOSPITAL);
    let mut mercy = Doing::start(command);
    let dir = format!("/proc/{}/root{}/{}", mercy.id(), cluster.folder().display(), HOSPITALS[0]);
    until(|| Path::new(&dir).join("relay.sock").exists() || !mercy.runs(), |there| *there);
    assert!(mercy.runs(), "{:?}", mercy.ended());
    // A disk that is full is not well, and said all the same.
    let status =
        || serde_json::from_value::<RelayStatus>(cluster.try_hospital(&["status", "--dir", &dir]).object()).unwrap();

    write(&cluster.path("files"), std::iter::once(image(1, 0, 100_000)));
    cluster.patient("ana");
    cluster.recipient("rossi");
    let study = text(&cluster.hospital(&["ingest", "--dir", &dir, "files"])["studies"][0]);
    let code = text(&cluster.hospital(&["pickup", "--dir", &dir, "--study", &study, "--pin", PIN])["code"]);
    cluster.person(&["wallet", "pickup", "--dir", "ana", &code, "--pin", PIN]);
    let grant = cluster.grant("ana", &study, &cluster.card("rossi"));
    cluster.person(&["recipient", "fetch", "--dir", "rossi", "--out", "images"]);

    // Without a Study Instance UID none of these can be taken in. A title may have a quarter of the quarantine, and the
    // one that goes beyond it.
    let junk = (0..12).map(|number| with(&image(2, number, 6 * MIB), b"\x20\x00\x0d\x00UI", b"\x20\x00\x0c\x00UI"));
    let junk = write(&cluster.path("junk"), junk);
    let [taken, kept, refused] = send(dicom, "JUNK", &junk);
    assert!(taken == 0 && (2..=3).contains(&kept) && refused == 12 - kept, "{taken} {kept} {refused}");
    let quarantine = cluster.hospital(&["quarantine", "--dir", &dir]);
    assert_eq!(quarantine["quarantined"].as_array().unwrap().len(), kept, "{quarantine}");
    let from = quarantine["quarantined"][0]["from"].as_str().unwrap();
    assert!(from.starts_with("127.") && from.ends_with(" JUNK"), "{from}");
    // Others send as before.
    let honest = write(&cluster.path("honest"), std::iter::once(image(3, 0, 100_000)));
    assert_eq!(send(dicom, "CT", &honest), [1, 0, 0]);

    // Images that are fine, more than there is room for.
    let many = write(&cluster.path("many"), (0..12).map(|number| image(4, number, 6 * MIB)));
    let [taken, _, refused] = send(dicom, "CT", &many);
    assert!(taken > 0 && refused > 0, "{taken} {refused}");
    let said = cluster.try_hospital(&["ingest", "--dir", &dir, "many"]);
    assert!(said.refused().1.contains("are kept for the chain, revocations and receipts"), "{said:?}");
    let full = status();
    assert_eq!(full.disk_reserve, u64::from(RESERVE_MIB) * MIB);
    assert!(full.disk_free > (u64::from(RESERVE_MIB) - 4) * MIB, "{full:?}");

    // All the same it decides, and a revocation binds.
    until(status, |now| now.height >= full.height + 3);
    let revoked = cluster.person(&["wallet", "revoke", "--dir", "ana", &grant]);
    assert!(revoked["height"].is_u64(), "{revoked}");
    let said = cluster.try_person(&["recipient", "fetch", "--dir", "rossi", "--out", "more"]);
    assert_ne!(said.code, Some(0), "{said:?}");
    assert!(files_in(&cluster.path("more")).is_empty());
    until(status, |now| now.height >= revoked["height"].as_u64().unwrap());
    mercy.signal("TERM");
    assert_eq!(mercy.ended().code, Some(0));
}
