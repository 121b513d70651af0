//! `init`: a new relay's folder.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::genesis::{Candidate, GenesisSource};
use clavicle_ledger::source::{Addresses, Announcement, SourceKind};
use serde_json::json;

use super::{Answer, CommandError};
use crate::home::{Home, Listen, Settings};
use crate::keys::Keys;
use clavicle_network::file as network_file;

pub(super) fn run(dir: &Path, name: &str, host: IpAddr) -> Result<Answer, CommandError> {
    let shown = Text::new(name).map_err(|error| CommandError::Name { name: name.to_owned(), error })?;
    let home = Home::at(dir);
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
    home.write_settings(&Settings { name: name.to_owned(), listen })?;
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

/// Ports that are free now. All are held until the last is found, so that they differ.
fn free_ports(host: IpAddr) -> std::io::Result<Listen> {
    let any = SocketAddr::new(host, 0);
    let (consensus, network, transfer) = (TcpListener::bind(any)?, TcpListener::bind(any)?, UdpSocket::bind(any)?);
    Ok(Listen { consensus: consensus.local_addr()?, network: network.local_addr()?, transfer: transfer.local_addr()? })
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
