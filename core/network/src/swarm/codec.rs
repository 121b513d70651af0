//! One request and one response per stream: four bytes of length, big-endian, and that many bytes of borsh.

use std::io;

use clavicle_ledger::encoding::{self, Wire};
use clavicle_ledger::id::ChainId;
use libp2p::StreamProtocol;
use libp2p::futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::request_response::{Behaviour, Codec, Config, ProtocolSupport};

use super::{PATIENCE, QUESTIONS, network_name};
use crate::message::{Request, Response};

/// What is set aside at once for bytes that are yet to arrive.
const STEP: usize = 16 * 1024;

/// Reads and writes [`Request`] and [`Response`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AskCodec;

/// Questions and answers on one network.
pub(super) fn behaviour(chain: &ChainId, support: ProtocolSupport) -> Behaviour<AskCodec> {
    let config = Config::default().with_request_timeout(PATIENCE).with_max_concurrent_streams(QUESTIONS);
    Behaviour::with_codec(AskCodec, [(protocol(chain), support)], config)
}

/// The protocol's name, with the network's in it.
pub(super) fn protocol(chain: &ChainId) -> StreamProtocol {
    StreamProtocol::try_from_owned(format!("/clavicle/{}/ask/2", network_name(chain))).expect("it begins with a slash")
}

impl Codec for AskCodec {
    type Protocol = StreamProtocol;
    type Request = Request;
    type Response = Response;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Request) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &request).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, response: Response) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &response).await
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Reads one value. The length is only a claim: memory grows with what arrives.
async fn read<V: Wire>(io: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<V> {
    let mut len = [0; 4];
    io.read_exact(&mut len).await?;
    let len = u32::from_be_bytes(len) as usize;
    if len > V::MAX_LEN {
        return Err(invalid(format!("{} of {len} bytes was announced; {} are allowed", V::NAME, V::MAX_LEN)));
    }
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let start = bytes.len();
        bytes.resize(len.min(start + STEP), 0);
        io.read_exact(&mut bytes[start..]).await?;
    }
    encoding::decode(&bytes).map_err(invalid)
}

async fn write<V: Wire + Sync>(io: &mut (impl AsyncWrite + Unpin + Send), value: &V) -> io::Result<()> {
    let bytes = encoding::encode(value);
    let len = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= V::MAX_LEN);
    let len = len.ok_or_else(|| invalid(format!("{} is longer than allowed", V::NAME)))?;
    io.write_all(&len.to_be_bytes()).await?;
    io.write_all(&bytes).await
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::encoding::Ascending;
    use libp2p::futures::executor::block_on;
    use libp2p::futures::io::Cursor;

    use super::*;
    use crate::message::{MAX_RESPONSE_LEN, Query};

    fn framed(len: u32, body: &[u8]) -> Cursor<Vec<u8>> {
        Cursor::new([&len.to_be_bytes()[..], body].concat())
    }

    #[test]
    fn what_is_written_is_read() {
        let request = Request::Query(Query::Changes { after: 7 });
        let mut io = Cursor::new(Vec::new());
        block_on(write(&mut io, &request)).unwrap();
        let bytes = io.into_inner();
        assert_eq!(bytes[..4], (bytes.len() as u32 - 4).to_be_bytes());
        assert_eq!(block_on(read::<Request>(&mut Cursor::new(bytes))).unwrap(), request);
    }

    #[test]
    fn a_length_above_the_limit_is_refused_before_anything_is_read() {
        let mut io = framed(MAX_RESPONSE_LEN as u32 + 1, &[]);
        assert_eq!(block_on(read::<Response>(&mut io)).unwrap_err().kind(), io::ErrorKind::InvalidData);
        // The longest length there is, cut off at once.
        let mut io = framed(MAX_RESPONSE_LEN as u32, &[1, 2, 3]);
        assert_eq!(block_on(read::<Response>(&mut io)).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        let mut bytes = encoding::encode(&Response::Waiting(Ascending::new()));
        bytes.push(0);
        let mut io = framed(bytes.len() as u32, &bytes);
        assert_eq!(block_on(read::<Response>(&mut io)).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
