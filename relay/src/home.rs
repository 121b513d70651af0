//! A relay's folder.
//!
//! ```text
//! relay.toml     its settings, for its operator to read and change
//! source.json    what it says of itself, to be given to whoever makes the genesis
//! keys/          its private keys, the endorsement of its checkpoint key, and the signed list of the stores that it has made (keys/stores)
//! network.json   the network it is of
//! archive/       the instances' bytes, as they came, and the studies' records, from which the catalogue can be made anew
//! catalogue.redb the studies over them
//! incoming/      objects that were received and are not in the archive yet
//! quarantine/    files that came by themselves and cannot be taken in, each with the reason
//! quarantine.jsonl  what was released from there and deleted, by whom and why: to be kept, and to be in the backup
//! credentials.jsonl whom the hospital vouches for, and for whom no more: to be kept, and to be in the backup
//! chain.redb     the chain
//! proposals.redb blocks that are not decided yet
//! mailboxes.redb other people's messages, sealed
//! pickups.redb   codes that the desk gave out
//! seen.redb      revocations that are not in a block yet
//! notices.redb   who has copies of which study, and where they are told what becomes of it
//! receipts.redb  who opened which study, and who was refused: to be kept, and to be in the backup
//! recoveries.jsonl  what was given back to people who lost their keys, who decided it and why: to be kept, and to be in the backup
//! refusals.jsonl why whoever wanted to fetch was refused, the newest of them, for `explain`; refusals.1.jsonl those before
//! consensus/     the engine's write-ahead log: never to be deleted, or the relay might vote twice
//! relay.sock     while it runs: where its operator's commands go
//! ```

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::source::Addresses;
use clavicle_network::work;
use serde::{Deserialize, Serialize};

use crate::replace;
use crate::room::DiskSettings;

/// A relay's folder, by its path.
#[derive(Clone, Debug)]
pub struct Home(PathBuf);

/// What `relay.toml` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The hospital's name, as people know it.
    pub name: String,
    /// Where the relay listens.
    pub listen: Listen,
    /// What it takes in by itself.
    #[serde(default)]
    pub intake: IntakeSettings,
    /// What it writes down of who fetches.
    #[serde(default)]
    pub receipts: ReceiptSettings,
    /// How much of its disk it may use for what.
    #[serde(default)]
    pub disk: DiskSettings,
    /// What it asks for a mailbox.
    #[serde(default)]
    pub mailboxes: MailboxSettings,
}

/// How a relay keeps other people's messages: the table `[mailboxes]` in `relay.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailboxSettings {
    /// How many hashes whoever opens a mailbox computes for it, on average, while there is room enough. Less is for tests.
    pub effort: u32,
}

impl Default for MailboxSettings {
    fn default() -> Self {
        Self { effort: work::EFFORT }
    }
}

/// What a relay does with its receipts: the table `[receipts]` in `relay.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReceiptSettings {
    /// How many seconds lie between two anchors, while there is anything to anchor.
    pub anchor_every_seconds: u32,
    /// For how many years receipts are kept.
    pub keep_years: u32,
}

impl Default for ReceiptSettings {
    fn default() -> Self {
        Self { anchor_every_seconds: 600, keep_years: 10 }
    }
}

/// What a relay takes in by itself: the table `[intake]` in `relay.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IntakeSettings {
    /// Where modalities and archives send DICOM objects to (C-STORE, TCP). Nowhere without it.
    pub dicom: Option<SocketAddr>,
    /// The relay's AE title.
    pub ae_title: String,
    /// Whether it may be called by any other title as well.
    pub any_title: bool,
    /// The AE titles that may call; any when there are none. A title proves nothing: it keeps mistakes out, not attackers.
    pub callers: Vec<String>,
    /// Folders from which everything is taken in that somebody puts there. The files stay. One whose name is no text stands there as its bytes.
    #[serde(with = "crate::path::exact_each")]
    pub watch: Vec<PathBuf>,
    /// After how many hours in which nothing was added a study is closed. Never without it.
    pub close_after_hours: Option<u32>,
}

impl Default for IntakeSettings {
    fn default() -> Self {
        Self {
            dicom: None,
            ae_title: "CLAVICLE".into(),
            any_title: false,
            callers: Vec::new(),
            watch: Vec::new(),
            close_after_hours: None,
        }
    }
}

/// Where a relay listens, and is reached as announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// For other validators, TCP.
    pub consensus: SocketAddr,
    /// For wallets and other relays, TCP.
    pub network: SocketAddr,
    /// For those who fetch, UDP.
    pub transfer: SocketAddr,
}

impl Listen {
    /// All ports.
    #[must_use]
    pub fn ports(&self) -> [u16; 3] {
        [self.consensus, self.network, self.transfer].map(|address| address.port())
    }

    /// The address for other validators, as libp2p writes it.
    #[must_use]
    pub fn consensus_address(&self) -> String {
        tcp_address(self.consensus)
    }

    /// The address for wallets and other relays, as libp2p writes it.
    #[must_use]
    pub fn network_address(&self) -> String {
        tcp_address(self.network)
    }

    /// What is announced of them.
    #[must_use]
    pub fn announced(&self) -> Addresses {
        fn one(address: String) -> Ascending<Text<128>, 4> {
            let mut list = Ascending::new();
            let text = Text::new(address).expect("an address is short and printable");
            list.insert(text).expect("a list of four has room for one");
            list
        }
        Addresses {
            consensus: one(self.consensus_address()),
            libp2p: one(self.network_address()),
            iroh: one(self.transfer.to_string()),
            circuit: Ascending::new(),
        }
    }
}

fn tcp_address(address: SocketAddr) -> String {
    let kind = if address.is_ipv4() { "ip4" } else { "ip6" };
    format!("/{kind}/{}/tcp/{}", address.ip(), address.port())
}

/// Why a relay's folder could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// There is a relay in it.
    #[error("{0} is a relay's folder already; nothing was changed. Choose another with --dir")]
    Exists(PathBuf),
    /// A file in it that may be another hospital's.
    #[error(
        "{0} is there already, and may be another hospital's; nothing was changed. Choose another folder with --dir"
    )]
    Taken(PathBuf),
    /// There is none in it.
    #[error("{0} is no relay's folder: it has no relay.toml. Make one with `clavicle-relay init --dir {0}`")]
    NotAHome(PathBuf),
    /// It is of no network yet.
    #[error("the relay in {0} is of no network yet. Run it with --network and the network.json of its network")]
    NoNetwork(PathBuf),
    /// A file.
    #[error("{path} could not be read or written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// Settings that are none.
    #[error("{path} cannot be understood")]
    Settings {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        #[source]
        error: Box<toml::de::Error>,
    },
}

impl Home {
    /// The relay's folder at `path`, there or not. From here on it is where it is, whatever the working directory is.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    }

    /// The folder itself.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The files of all stores.
    #[must_use]
    pub fn stores(&self) -> [PathBuf; 8] {
        [
            self.chain_file(),
            self.proposals_file(),
            self.seen_file(),
            self.receipts_file(),
            self.catalogue_file(),
            self.pickups_file(),
            self.notices_file(),
            self.mailboxes_file(),
        ]
    }

    /// The settings' file.
    #[must_use]
    pub fn settings_file(&self) -> PathBuf {
        self.0.join("relay.toml")
    }

    /// The file that is given to whoever makes the genesis.
    #[must_use]
    pub fn source_file(&self) -> PathBuf {
        self.0.join("source.json")
    }

    /// The folder of the private keys.
    #[must_use]
    pub fn keys_folder(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// The network that the relay is of, copied there when it first joins.
    #[must_use]
    pub fn network_file(&self) -> PathBuf {
        self.0.join("network.json")
    }

    /// The socket of the relay while it runs.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.join("relay.sock")
    }

    /// Whether a relay answers at that socket.
    #[must_use]
    pub fn is_served(&self) -> bool {
        UnixStream::connect(self.socket()).is_ok()
    }

    /// The file of blocks that are not decided yet.
    #[must_use]
    pub fn proposals_file(&self) -> PathBuf {
        self.0.join("proposals.redb")
    }

    /// The file of other people's messages.
    #[must_use]
    pub fn mailboxes_file(&self) -> PathBuf {
        self.0.join("mailboxes.redb")
    }

    /// The file of the codes that the desk gave out.
    #[must_use]
    pub fn pickups_file(&self) -> PathBuf {
        self.0.join("pickups.redb")
    }

    /// The file of revocations that were seen and are not in a block yet.
    #[must_use]
    pub fn seen_file(&self) -> PathBuf {
        self.0.join("seen.redb")
    }

    /// The file of receipts.
    #[must_use]
    pub fn receipts_file(&self) -> PathBuf {
        self.0.join("receipts.redb")
    }

    /// The file of who is told what becomes of studies.
    #[must_use]
    pub fn notices_file(&self) -> PathBuf {
        self.0.join("notices.redb")
    }

    /// The folder of objects that were received and are not in the archive yet.
    #[must_use]
    pub fn incoming_folder(&self) -> PathBuf {
        self.0.join("incoming")
    }

    /// The folder of files that came by themselves and cannot be taken in.
    #[must_use]
    pub fn quarantine_folder(&self) -> PathBuf {
        self.0.join("quarantine")
    }

    /// The file of whom the hospital vouches for.
    #[must_use]
    pub fn credentials_file(&self) -> PathBuf {
        self.0.join("credentials.jsonl")
    }

    /// The file of why whoever wanted to fetch was refused.
    #[must_use]
    pub fn refusals_file(&self) -> PathBuf {
        self.0.join("refusals.jsonl")
    }

    /// The file of what was given back to people who lost their keys.
    #[must_use]
    pub fn recoveries_file(&self) -> PathBuf {
        self.0.join("recoveries.jsonl")
    }

    /// The folder of the instances' bytes.
    #[must_use]
    pub fn archive_folder(&self) -> PathBuf {
        self.0.join("archive")
    }

    /// The file of the catalogue of studies.
    #[must_use]
    pub fn catalogue_file(&self) -> PathBuf {
        self.0.join("catalogue.redb")
    }

    /// The folder of the engine's write-ahead log.
    #[must_use]
    pub fn consensus_folder(&self) -> PathBuf {
        self.0.join("consensus")
    }

    /// The engine's write-ahead log.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.consensus_folder().join(clavicle_consensus::LOG_FILE)
    }

    /// The list of the stores that the relay has made.
    #[must_use]
    pub fn made_file(&self) -> PathBuf {
        self.keys_folder().join("stores")
    }

    /// The chain's file.
    #[must_use]
    pub fn chain_file(&self) -> PathBuf {
        self.0.join("chain.redb")
    }

    /// The network's file, if the relay has joined one.
    ///
    /// # Errors
    /// [`HomeError::NoNetwork`].
    pub fn joined(&self) -> Result<PathBuf, HomeError> {
        let path = self.network_file();
        if path.exists() { Ok(path) } else { Err(HomeError::NoNetwork(self.0.clone())) }
    }

    /// Makes the folder for a new relay.
    ///
    /// # Errors
    /// [`HomeError`]; also when there is a relay in it.
    pub fn create(&self) -> Result<(), HomeError> {
        if self.settings_file().exists() || self.keys_folder().exists() {
            return Err(HomeError::Exists(self.0.clone()));
        }
        if fs::symlink_metadata(self.source_file()).is_ok() {
            return Err(HomeError::Taken(self.source_file()));
        }
        let file_error = |error| HomeError::File { path: self.0.clone(), error };
        fs::create_dir_all(&self.0).map_err(file_error)?;
        // Also when somebody made it before.
        fs::set_permissions(&self.0, fs::Permissions::from_mode(0o700)).map_err(file_error)
    }

    /// The settings of the relays whose folders lie beside this one, which must be there itself; those that cannot be read are left out.
    ///
    /// # Errors
    /// [`HomeError::File`].
    pub fn beside(&self) -> Result<Vec<Settings>, HomeError> {
        let file_error = |error| HomeError::File { path: self.0.clone(), error };
        let Some(parent) = self.0.canonicalize().map_err(file_error)?.parent().map(Path::to_owned) else {
            return Ok(Vec::new());
        };
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        Ok(entries.filter_map(|entry| Self(entry.path()).settings().ok()).collect())
    }

    /// Writes the settings.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn write_settings(&self, settings: &Settings) -> Result<(), HomeError> {
        let path = self.settings_file();
        let text = toml::to_string(settings).expect("names and addresses have a form in TOML");
        replace::write(&path, text.as_bytes()).map_err(|error| HomeError::File { path, error })
    }

    /// Reads the settings.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn settings(&self) -> Result<Settings, HomeError> {
        let path = self.settings_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(HomeError::NotAHome(self.0.clone())),
            Err(error) => return Err(HomeError::File { path, error }),
        };
        toml::from_str(&text).map_err(|error| HomeError::Settings { path, error: Box::new(error) })
    }
}
