//! A peer written out byte by byte, which can be as wrong as a test wants it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::made::{CT, EXPLICIT};
use crate::receiver::PATIENCE;

pub const VERIFICATION: &str = "1.2.840.10008.1.1";
/// Context 1 is CT, context 3 verification.
pub const CONTEXTS: [(u8, &str, &str); 2] = [(1, CT, EXPLICIT), (3, VERIFICATION, "1.2.840.10008.1.2")];

pub struct Raw(pub TcpStream);

fn item(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind, 0], &u16::try_from(value.len()).unwrap().to_be_bytes()[..], value].concat()
}

pub fn unit(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0], &u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

/// A-ASSOCIATE-RQ.
pub fn request() -> Vec<u8> {
    let contexts = CONTEXTS.iter().flat_map(|(id, class, transfer_syntax)| {
        let syntaxes = [item(0x30, class.as_bytes()), item(0x40, transfer_syntax.as_bytes())].concat();
        item(0x20, &[&[*id, 0, 0, 0][..], &syntaxes].concat())
    });
    let contexts: Vec<u8> = contexts.collect();
    let user = item(0x50, &item(0x51, &16_384_u32.to_be_bytes()));
    let head = [&[0, 1, 0, 0], &b"CLAVICLE        "[..], b"RAW             ", &[0; 32]].concat();
    unit(1, &[head, item(0x10, b"1.2.840.10008.3.1.1.1"), contexts, user].concat())
}

/// P-DATA-TF with one fragment. Control: 1 for a command, 2 for the last.
pub fn fragment(context: u8, control: u8, bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len() + 2).unwrap().to_be_bytes();
    unit(4, &[&len[..], &[context, control], bytes].concat())
}

pub fn element(number: u16, value: &[u8]) -> Vec<u8> {
    let len = u32::try_from(value.len()).unwrap().to_le_bytes();
    [&[0, 0], &number.to_le_bytes()[..], &len, value].concat()
}

fn even(uid: &str) -> Vec<u8> {
    let mut value = uid.as_bytes().to_vec();
    value.resize(uid.len().next_multiple_of(2), 0);
    value
}

/// A command set without its group length, which nobody should need.
pub fn command(field: u16, class: &str, instance: Option<&str>, data_set_type: u16) -> Vec<u8> {
    let mut bytes = [
        element(0x0002, &even(class)),
        element(0x0100, &field.to_le_bytes()),
        element(0x0110, &[7, 0]),
        element(0x0800, &data_set_type.to_le_bytes()),
    ]
    .concat();
    bytes.extend(instance.map(|instance| element(0x1000, &even(instance))).unwrap_or_default());
    bytes
}

/// C-STORE-RQ of a CT image.
pub fn store(instance: &str) -> Vec<u8> {
    fragment(1, 3, &command(0x0001, CT, Some(instance), 1))
}

pub fn release() -> Vec<u8> {
    unit(5, &[0; 4])
}

impl Raw {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// Connects, asks, and is accepted.
    pub fn associate(address: SocketAddr) -> Self {
        let mut raw = Self::connect(address);
        raw.send(&request());
        let (kind, body) = raw.hear().unwrap();
        assert_eq!(kind, 2, "{body:?}");
        raw
    }

    /// Sends; the other side may be gone.
    pub fn send(&mut self, bytes: &[u8]) {
        drop(self.0.write_all(bytes));
    }

    pub fn half_close(&self) {
        drop(self.0.shutdown(Shutdown::Write));
    }

    /// The next unit; `None` when the other side has hung up.
    pub fn hear(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 6];
        match self.0.read_exact(&mut head) {
            Err(error) if [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset].contains(&error.kind()) => {
                return None;
            }
            other => other.unwrap(),
        }
        let mut body = vec![0; u32::from_be_bytes(head[2..].try_into().unwrap()) as usize];
        self.0.read_exact(&mut body).unwrap();
        Some((head[0], body))
    }

    /// The status of the next response, and its comment.
    pub fn status(&mut self) -> (u16, String) {
        let (kind, body) = self.hear().unwrap();
        assert_eq!((kind, body[5]), (4, 3), "{body:?}");
        let (mut rest, mut status, mut comment) = (&body[6..], None, String::new());
        while !rest.is_empty() {
            let number = u16::from_le_bytes([rest[2], rest[3]]);
            let (value, after) = rest[8..].split_at(u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize);
            match number {
                0x0900 => status = Some(u16::from_le_bytes(value.try_into().unwrap())),
                0x0902 => comment = String::from_utf8(value.to_vec()).unwrap().trim_end().to_owned(),
                0x0120 => assert_eq!(value, [7, 0]),
                _ => {}
            }
            rest = after;
        }
        (status.unwrap(), comment)
    }

    /// Hears an abort, and that the other side hung up: source and reason (PS3.8 §9.3.8).
    pub fn abort(&mut self) -> (u8, u8) {
        let (kind, body) = self.hear().unwrap();
        assert_eq!((kind, body.len()), (7, 4), "{body:?}");
        assert_eq!(self.hear(), None);
        (body[2], body[3])
    }

    /// Whether nothing is heard for so long.
    pub fn is_silent(&mut self, time: Duration) -> bool {
        self.0.set_read_timeout(Some(time)).unwrap();
        let peeked = self.0.peek(&mut [0]);
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        peeked.is_err_and(|error| [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()))
    }

    pub fn release(mut self) {
        self.send(&release());
        assert_eq!(self.hear().unwrap().0, 6);
    }
}
