//! The memory that a large file takes: as much as a small one.

use std::process::Command;
use std::{env, fs};

use clavicle_phantom::{Kind, Phantom};

/// Where the one process asks the other to write.
const ASKED: &str = "CLAVICLE_PHANTOM_STREAMED";
/// A frame of 512 × 512 pixels has half a mebibyte: 64 MiB of them are always made, more than 1 GiB when it may take long.
const FRAMES: [u16; 2] = [128, 2_100];
/// What both may take at their peak, in kibibytes.
const PEAK_KIB: u64 = 48 * 1024;

fn frames() -> u16 {
    FRAMES[usize::from(env::var_os("CLAVICLE_LONG").is_some())]
}

#[test]
fn a_large_file_is_never_held() {
    let folder = tempfile::tempdir().unwrap();
    // In a process of its own: the peak is that of a process, and other tests run in this one.
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "memory::writes_a_large_file", "--ignored", "--nocapture"])
        .env(ASKED, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let peak = said.lines().find_map(|line| line.split_once("peak in KiB: ")).unwrap().1;
    let peak: u64 = peak.trim().parse().unwrap();
    let len = fs::metadata(folder.path().join("1-axial/0001.dcm")).unwrap().len();
    assert!(len > u64::from(frames()) * 512 * 1024, "{len}");
    assert!(peak < PEAK_KIB, "{peak} KiB for a file of {len} bytes");
    println!("{len} bytes written with {peak} KiB");
    let said =
        crate::peers::succeed("dcmdump", &["+P", "NumberOfFrames", "-M"], &folder.path().join("1-axial/0001.dcm"));
    assert!(said.contains(&format!("[{}", frames())), "{said}");
}

#[test]
#[ignore = "another test runs it, in a process of its own"]
fn writes_a_large_file() {
    let folder = env::var_os(ASKED).expect("the other test says where");
    Phantom { slices: frames(), size: 512, ..Phantom::of(Kind::HeadCtEnhanced) }.write(folder.as_ref()).unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("peak in KiB: {}", peak.trim().trim_end_matches(" kB"));
}
