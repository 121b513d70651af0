//! `init`: a new relay's folder.

use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::genesis::{Candidate, GenesisSource};
use clavicle_ledger::source::{Addresses, Announcement, SourceKind};
use serde_json::json;

use super::{Answer, CommandError, IntakeArguments};
use crate::home::{Home, IntakeSettings, Listen, ReceiptSettings, Settings};
use crate::keys::Keys;
use clavicle_network::file as network_file;

pub(super) fn run(dir: &Path, name: &str, host: IpAddr, intake: IntakeArguments) -> Result<Answer, CommandError> {
    let shown = Text::new(name).map_err(|error| CommandError::Name { name: name.to_owned(), error })?;
    let home = Home::at(dir);
    let intake = settings_of(intake)?;
    home.create()?;
    let listen = free_ports(host).map_err(|error| CommandError::NoPort { host, error })?;
    let keys = Keys::create(&home.keys_folder())?;
    let announcement = Announcement {
        name: shown,
        kind: SourceKind::Validator,
        keys: keys.announced(),
        addresses: announced(&listen),
        mailbox: Ascending::new(),
    };
    let source = GenesisSource { identity: keys.identity.public(), announcement };
    let candidate = Candidate::sign(source, &keys.all())?;
    network_file::write_candidate(&home.source_file(), &candidate)?;
    // Last, since it is what makes the folder a relay's.
    let receipts = ReceiptSettings::default();
    home.write_settings(&Settings { name: name.to_owned(), listen, intake, receipts })?;
    let (source, identity) = (home.source_file(), candidate.source.identity);
    Ok(Answer {
        text: format!(
            "{name}: a new relay in {}\nidentity {identity}\nNext: give {} to whoever makes the genesis.",
            dir.display(),
            source.display()
        ),
        json: json!({
            "dir": dir, "name": name, "identity": identity.to_string(), "source": source,
            "listen": { "consensus": listen.consensus, "network": listen.network, "transfer": listen.transfer },
        }),
    })
}

fn settings_of(arguments: IntakeArguments) -> Result<IntakeSettings, CommandError> {
    let IntakeArguments { dicom, ae_title, watch, close_after } = arguments;
    // The relay that watches them will have another working directory.
    let absolute = |path: PathBuf| path.canonicalize().map_err(|error| CommandError::Folder { path, error });
    let default = IntakeSettings::default();
    Ok(IntakeSettings {
        dicom,
        ae_title: ae_title.unwrap_or(default.ae_title),
        watch: watch.into_iter().map(absolute).collect::<Result<_, _>>()?,
        close_after_hours: close_after,
        ..IntakeSettings::default()
    })
}

/// From where ports are taken: below those that systems give to outgoing connections, which would now and then have one when the relay starts.
const PORTS: RangeInclusive<u16> = 20_000..=31_999;
/// How many ports are tried before it is told that none is free.
const TRIES: usize = 200;

/// Ports that are free now, chosen at random. All are held until the last is found, so that they differ.
fn free_ports(host: IpAddr) -> io::Result<Listen> {
    let consensus = free(|port| TcpListener::bind((host, port)))?;
    let network = free(|port| TcpListener::bind((host, port)))?;
    let transfer = free(|port| UdpSocket::bind((host, port)))?;
    Ok(Listen { consensus: consensus.local_addr()?, network: network.local_addr()?, transfer: transfer.local_addr()? })
}

fn free<T>(bind: impl Fn(u16) -> io::Result<T>) -> io::Result<T> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        let mut random = [0; 2];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let count = PORTS.end() - PORTS.start() + 1;
        match bind(PORTS.start() + u16::from_le_bytes(random) % count) {
            Ok(bound) => return Ok(bound),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn announced(listen: &Listen) -> Addresses {
    fn one(address: String) -> Ascending<Text<128>, 4> {
        let mut list = Ascending::new();
        let text = Text::new(address).expect("an address is short and printable");
        list.insert(text).expect("a list of four has room for one");
        list
    }
    Addresses {
        consensus: one(listen.consensus_address()),
        libp2p: one(listen.network_address()),
        iroh: one(listen.transfer.to_string()),
        circuit: Ascending::new(),
    }
}
