//! `init`: a new relay's folder.

use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use clavicle_command::clock::now;
use clavicle_command::file::path_text;
use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::genesis::{Candidate, GenesisSource};
use clavicle_ledger::source::{Announcement, SourceKind};
use clavicle_letters::random::random;
use serde_json::json;

use super::{CommandError, IntakeArguments};
use crate::answer::Answer;
use crate::home::{Home, IntakeSettings, Listen, MailboxSettings, ReceiptSettings, Settings};
use crate::keys::Keys;
use crate::made::Made;
use crate::room::DiskSettings;
use clavicle_network::file as network_file;

pub(super) fn run(dir: &Path, name: &str, host: IpAddr, intake: IntakeArguments) -> Result<Answer, CommandError> {
    let shown = Text::new(name).map_err(|error| CommandError::Name { name: name.to_owned(), error })?;
    let home = Home::at(dir);
    let intake = settings_of(intake)?;
    home.create()?;
    // Relays that are made one after the other, to be run on one machine, must not choose the same.
    let taken: Vec<u16> = home.beside()?.iter().flat_map(|settings| settings.listen.ports()).collect();
    let listen = free_ports(host, &taken).map_err(|error| CommandError::NoPort { host, error })?;
    let keys = Keys::create(&home.keys_folder())?;
    let announcement = Announcement {
        name: shown,
        kind: SourceKind::Validator,
        keys: keys.announced(),
        addresses: listen.announced(),
        mailbox: Ascending::new(),
    };
    let source = GenesisSource { identity: keys.identity.public(), announcement };
    let candidate = Candidate::sign(source, &keys.all())?;
    network_file::write_candidate(&home.source_file(), &candidate)?;
    // Last, since it is what makes the folder a relay's.
    Made::open(&home, &keys.operational, now())?;
    let (receipts, mailboxes, disk) = (ReceiptSettings::default(), MailboxSettings::default(), DiskSettings::default());
    home.write_settings(&Settings { name: name.to_owned(), listen, intake, receipts, mailboxes, disk })?;
    let (source, identity) = (home.source_file(), candidate.source.identity);
    Ok(Answer {
        text: format!(
            "{name}: a new relay in {}\nidentity {identity}\nNext: give {} to whoever makes the genesis.",
            home.folder().display(),
            source.display()
        ),
        json: json!({
            "dir": path_text(home.folder()), "name": name, "identity": identity.to_string(), "source": path_text(&source),
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

/// Ports that are free now and not in `taken`. All are held until the last is found, so that they differ.
fn free_ports(host: IpAddr, taken: &[u16]) -> io::Result<Listen> {
    let consensus = free(taken, |port| TcpListener::bind((host, port)))?;
    let network = free(taken, |port| TcpListener::bind((host, port)))?;
    let transfer = free(taken, |port| UdpSocket::bind((host, port)))?;
    Ok(Listen { consensus: consensus.local_addr()?, network: network.local_addr()?, transfer: transfer.local_addr()? })
}

/// The first port that can be had, from a random one on.
fn free<T>(taken: &[u16], bind: impl Fn(u16) -> io::Result<T>) -> io::Result<T> {
    let count = PORTS.end() - PORTS.start() + 1;
    let first = u16::from_le_bytes(random().map_err(io::Error::other)?) % count;
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for port in (0..count).map(|step| PORTS.start() + (first + step) % count) {
        if taken.contains(&port) {
            continue;
        }
        match bind(port) {
            Ok(bound) => return Ok(bound),
            // The host's address itself cannot be had, at no port.
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ports_that_are_free_are_found_and_no_other_is_taken() {
        let host = IpAddr::from([127, 77, 0, 1]);
        let left = [PORTS.start() + 5, PORTS.start() + 6, PORTS.end() - 1];
        let taken: Vec<u16> = PORTS.filter(|port| !left.contains(port)).collect();
        let listen = free_ports(host, &taken).unwrap();
        assert_ne!(listen.consensus.port(), listen.network.port());
        assert!(listen.ports().iter().all(|port| left.contains(port)), "{listen:?}");

        let all: Vec<u16> = PORTS.collect();
        assert_eq!(free_ports(host, &all).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
