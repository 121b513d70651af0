//! Inputs that no honest peer sends, the same in every run. Other crates' tests take this file in as well.
//!
//! The ordinary size is a thousand inputs a decoder; `CLAVICLE_LONG=1` makes it a million. Each input is used twice: as it is, and as a
//! script that edits bytes which are valid, since that reaches deeper.

use std::fs;

/// The longest input, in bytes.
const MAX_LEN: usize = 512;
/// The most memory that a test process may ever have held, in KiB: no input makes a decoder believe a length.
pub(crate) const MAX_RESIDENT_KIB: u64 = 512 * 1024;

/// How many inputs a decoder is fed with.
pub(crate) fn rounds() -> u64 {
    if std::env::var_os("CLAVICLE_LONG").is_some_and(|long| long == "1") { 1_000_000 } else { 1_000 }
}

/// The input of a round, of any length up to 512 bytes; every other one is short.
pub(crate) fn input(target: &str, round: u64) -> Vec<u8> {
    let mut stream = blake3::Hasher::new_derive_key("clavicle 2026 hostile inputs");
    stream.update(target.as_bytes()).update(&round.to_le_bytes());
    let mut stream = stream.finalize_xof();
    let mut len = [0; 2];
    stream.fill(&mut len);
    let most = if round.is_multiple_of(2) { 32 } else { MAX_LEN };
    let mut bytes = vec![0; usize::from(u16::from_le_bytes(len)) % (most + 1)];
    stream.fill(&mut bytes);
    bytes
}

/// Edits `vector` as `script` says: overwrite, flip, cut, insert, remove, repeat.
pub(crate) fn edited(vector: &[u8], script: &[u8]) -> Vec<u8> {
    let mut bytes = vector.to_vec();
    for step in script.chunks_exact(4).take(6) {
        if bytes.is_empty() {
            break;
        }
        let at = usize::from(u16::from_le_bytes([step[1], step[2]])) % bytes.len().max(1);
        match step[0] % 6 {
            0 => bytes[at] = step[3],
            1 => bytes[at] ^= 1 << (step[3] % 8),
            2 => bytes.truncate(at + 1),
            3 => bytes.insert(at, step[3]),
            4 => drop(bytes.remove(at)),
            _ => bytes.extend_from_within(at..bytes.len().min(at + usize::from(step[3]))),
        }
    }
    bytes
}

/// What is said in a round: each input as it is, and then one of `vectors` edited as it says.
pub(crate) fn said(target: &str, vectors: &[Vec<u8>], round: u64) -> Vec<u8> {
    let input = input(target, round / 2);
    let vector = &vectors[usize::try_from(round / 2).unwrap() % vectors.len()];
    if round.is_multiple_of(2) { input } else { edited(vector, &input) }
}

/// Feeds `decoder` with every input of `target`, and with one of `vectors` edited as each says.
///
/// # Panics
/// When `decoder` does, or when the process held more memory than any input is worth.
pub(crate) fn feed(target: &str, vectors: &[Vec<u8>], decoder: impl Fn(&[u8])) {
    assert!(!vectors.is_empty(), "{target} has nothing valid to begin with");
    for round in 0..2 * rounds() {
        decoder(&said(target, vectors, round));
    }
    let peak = peak_kib("self");
    assert!(peak < MAX_RESIDENT_KIB, "{target}: {peak} KiB were held");
}

/// The most memory that a process has ever held, in KiB; nothing where the system does not tell.
pub(crate) fn peak_kib(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
