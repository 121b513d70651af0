//! Stores as earlier versions left them, which must open for ever. How they were made stands in `README.md`.

use std::io;
use std::path::Path;

/// A relay's folder, `mercy`: two studies, of which one is held, contradicted and revised; a file set aside; a code
/// that nobody came with; a letter that nobody collected; a revocation that is in no block.
pub const RELAY: &[u8] = include_bytes!("../packed/mercy.tar.gz");
/// What the relay's commands said of that: `studies`, `audit`, `quarantine` and `status`, each as one JSON object.
pub const STUDIES: &str = include_str!("../packed/studies.json");
/// See [`STUDIES`].
pub const AUDIT: &str = include_str!("../packed/audit.json");
/// See [`STUDIES`].
pub const QUARANTINE: &str = include_str!("../packed/quarantine.json");
/// See [`STUDIES`].
pub const STATUS: &str = include_str!("../packed/status.json");

/// The folder of another relay, `mercy` too, that was killed with two objects in `incoming/` that it had acknowledged;
/// it is alone in its network.
pub const INCOMING: &[u8] = include_bytes!("../packed/incoming.tar.gz");

/// The wallet of the patient, `ana`: a study with its images, two grants, one of them revoked, and that not final.
pub const PATIENT: &[u8] = include_bytes!("../packed/ana.tar.gz");
/// What `clavicle wallet grants` said of it, as JSON.
pub const GRANTS: &str = include_str!("../packed/grants.json");
/// What `clavicle wallet studies` said of it, as JSON.
pub const WALLET: &str = include_str!("../packed/wallet.json");

/// The wallet of a recipient, `rossi`: a grant, and what was fetched with it.
pub const RECIPIENT: &[u8] = include_bytes!("../packed/rossi.tar.gz");

/// The passphrase of both wallets.
pub const PASSPHRASE: &str = "packed stores";

/// Unpacks one into a folder.
///
/// # Errors
/// The folder's.
pub fn unpack(packed: &[u8], folder: &Path) -> io::Result<()> {
    tar::Archive::new(flate2::read::GzDecoder::new(packed)).unpack(folder)
}
