//! How fast objects are received, next to dcmtk's `storescp +B`, which forces nothing to the disk:
//! `cargo run --release -p clavicle-dimse --example receive_speed -- [FOLDER] [DATA-UNIT-BYTES]`.
//!
//! The sender is dcmtk's `storescu`: 1,142 objects of 98 KB over one association, and one object of 500 MB. Where `FOLDER` is in memory
//! (`/dev/shm`), what forcing to the disk costs is left out.

use std::error::Error;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use clavicle_dimse::{AeTitle, Called, Received, Refusal, Scp, Settings, Sink};

struct Agree;

impl Sink for Agree {
    fn received(&self, _: &Received) -> Result<(), Refusal> {
        Ok(())
    }
}

/// dcmtk's receiver, ended when dropped.
struct Storescp(Child);

impl Drop for Storescp {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os().nth(1).map_or_else(env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("clavicle-receive-speed-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let measured = measure(&folder);
    fs::remove_dir_all(&folder)?;
    measured
}

fn measure(folder: &Path) -> Result<(), Box<dyn Error>> {
    let (many, one) = (folder.join("many"), folder.join("one"));
    for (folder, count, len) in [(&many, 1_142, 98_000), (&one, 1, 500_000_000)] {
        fs::create_dir_all(folder)?;
        for number in 0..count {
            fs::write(folder.join(format!("{number:04}.dcm")), object(number, len))?;
        }
    }
    let mut settings = Settings::new("127.0.0.1:0".parse()?, AeTitle::new("CLAVICLE")?, folder.join("spool"));
    settings.called = Called::Any;
    if let Some(bytes) = env::args().nth(2) {
        settings.max_pdu = bytes.parse()?;
    }
    println!("data units of {} bytes, in {}", settings.max_pdu, folder.display());
    let scp = Scp::bind(settings, Arc::new(Agree))?;
    let output = folder.join("storescp");
    fs::create_dir_all(&output)?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut command = Command::new("storescp");
    command.args(["+B", "--max-pdu", "131072", "-od"]).arg(&output).arg(port.to_string());
    let storescp = Storescp(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    while !Command::new("echoscu").args(["127.0.0.1", &port.to_string()]).stderr(Stdio::null()).status()?.success() {}
    for (what, from, bytes, rounds) in
        [("1,142 objects of 98 KB", &many, 1_142 * 98_000, 1), ("1 object of 500 MB", &one, 500_000_000, 3)]
    {
        // In turns, so that both meet the machine in the same mood; the best of each counts.
        let (mut best, mut best_of_other) = (Duration::MAX, Duration::MAX);
        for _ in 0..rounds {
            best = best.min(send(from, scp.address().port())?);
            best_of_other = best_of_other.min(send(from, port)?);
        }
        let speed = |time: Duration| bytes / 1_000 / time.as_millis().max(1);
        let ratio = best_of_other.as_secs_f64() / best.as_secs_f64();
        println!("{what}: {best:.2?}, {} MB/s", speed(best));
        println!(
            "    storescp +B: {best_of_other:.2?}, {} MB/s; this has {ratio:.2} of its speed",
            speed(best_of_other)
        );
    }
    drop(storescp);
    scp.stop();
    Ok(())
}

/// Sends all files of a folder over one association.
fn send(from: &Path, port: u16) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    let mut command = Command::new("storescu");
    command.args(["-R", "-xe", "--max-pdu", "131072", "+sd"]).args(["127.0.0.1", &port.to_string()]).arg(from);
    if !command.status()?.success() {
        return Err("storescu failed".into());
    }
    Ok(start.elapsed())
}

/// A raw data object with so many bytes in its one long element.
fn object(number: u32, len: u32) -> Vec<u8> {
    let element = |tag: [u8; 4], vr: &[u8; 2], value: &[u8]| {
        let head = if vr == b"OB" {
            [&[0, 0], &u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes()[..]].concat()
        } else {
            u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes().to_vec()
        };
        [&tag[..], vr, &head, value].concat()
    };
    let class = b"1.2.840.10008.5.1.4.1.1.66";
    let instance = format!("2.25.{:07}", number + 1_000_000);
    let meta = [
        element([2, 0, 1, 0], b"OB", &[0, 1]),
        element([2, 0, 2, 0], b"UI", class),
        element([2, 0, 3, 0], b"UI", instance.as_bytes()),
        element([2, 0, 0x10, 0], b"UI", b"1.2.840.10008.1.2.1\0"),
        element([2, 0, 0x12, 0], b"UI", b"2.25.8"),
    ]
    .concat();
    let group_length = u32::try_from(meta.len()).unwrap_or(u32::MAX).to_le_bytes();
    let noise: Vec<u8> = (0..len).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    [
        &[0; 128],
        &b"DICM\x02\0\0\0UL\x04\0"[..],
        &group_length,
        &meta,
        &element([8, 0, 0x16, 0], b"UI", class),
        &element([8, 0, 0x18, 0], b"UI", instance.as_bytes()),
        &element([0x20, 0, 0x0d, 0], b"UI", b"2.25.5"),
        &element([0x20, 0, 0x0e, 0], b"UI", b"2.25.6"),
        &element([0x42, 0, 0x11, 0], b"OB", &noise),
    ]
    .concat()
}
