//! The proof of a consensus key, on both sides, before anything else: TLS 1.3 (RFC 8446) with raw public keys (RFC 7250).
//!
//! Whoever connects signs the handshake with its key; a key that the roster does not have ends the handshake before a byte of
//! consensus was read or written. What TLS signs begins with 64 spaces and words of its own (RFC 8446 §4.4.3), and nothing that the ledger signs
//! does. No session is resumed: each link proves its keys anew. The network's id is in the protocol's name (ALPN), so that validators of two networks do not
//! even begin.

use core::fmt;
use std::io;
use std::sync::Arc;

use clavicle_ledger::id::ChainId;
use clavicle_ledger::key::{Key, SecretKey, Signature};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use tokio_rustls::rustls::sign::{CertifiedKey, Signer, SigningKey};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved,
    ServerConfig, SignatureAlgorithm, SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::mesh::roster::Roster;

/// What stands before an Ed25519 key's 32 bytes in a SubjectPublicKeyInfo (RFC 8410 §4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A connection whose other end has proven the key.
pub(crate) struct Proven {
    pub(crate) key: Key,
    pub(crate) stream: TlsStream<TcpStream>,
}

/// Proves the own key, and wants to see one of the roster's.
pub(crate) struct Proof {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

impl Proof {
    pub(crate) fn new(chain: &ChainId, key: SecretKey, roster: watch::Receiver<Arc<Roster>>) -> Self {
        let protocol = format!("clavicle/consensus/1/{chain}").into_bytes();
        let own = key.public();
        let spki = CertificateDer::from(spki(&own));
        let certified = Arc::new(CertifiedKey::new(vec![spki], Arc::new(Own(Arc::new(key)))));
        let verifier = Arc::new(OfRoster { own, roster });
        let provider = Arc::new(default_provider());
        let versions = "ring has the suites of TLS 1.3";
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .expect(versions)
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&certified))));
        client.alpn_protocols = vec![protocol.clone()];
        client.resumption = Resumption::disabled();
        client.enable_sni = false;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .expect(versions)
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified)));
        server.alpn_protocols = vec![protocol];
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Self { connector: Arc::new(client).into(), acceptor: Arc::new(server).into() }
    }

    /// The side that was connected to.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<Proven> {
        stream.set_nodelay(true)?;
        let stream = self.acceptor.accept(stream).await?;
        let key = proven(stream.get_ref().1)?;
        Ok(Proven { key, stream: stream.into() })
    }

    /// The side that connects. It is not known yet whether the other one takes the own key: its first message says so.
    pub(crate) async fn connect(&self, stream: TcpStream) -> io::Result<Proven> {
        stream.set_nodelay(true)?;
        // Not sent: who is there is proven by key.
        let name = ServerName::try_from("validator").expect("a name");
        let stream = self.connector.connect(name, stream).await?;
        let key = proven(stream.get_ref().1)?;
        Ok(Proven { key, stream: stream.into() })
    }
}

fn spki(key: &Key) -> Vec<u8> {
    [&SPKI[..], key.as_bytes()].concat()
}

fn key_in(spki: &[u8]) -> Option<Key> {
    let bytes = spki.strip_prefix(&SPKI)?;
    Some(Key::from_bytes(bytes.try_into().ok()?))
}

/// The key that the other end has proven, and the protocol that was agreed on.
fn proven(state: &CommonState) -> io::Result<Key> {
    let key = state.peer_certificates().and_then(<[_]>::first).and_then(|spki| key_in(spki));
    let agreed = state.alpn_protocol().is_some();
    key.filter(|_| agreed).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no key was proven"))
}

/// Signs handshakes with the consensus key.
#[derive(Clone)]
struct Own(Arc<SecretKey>);

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Own(…)")
    }
}

impl SigningKey for Own {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ED25519).then(|| Box::new(self.clone()) as _)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(spki(&self.0.public())))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for Own {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).as_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Takes keys of the roster, but for the own one, and nothing else.
#[derive(Debug)]
struct OfRoster {
    own: Key,
    roster: watch::Receiver<Arc<Roster>>,
}

impl OfRoster {
    fn check(&self, spki: &CertificateDer<'_>, more: &[CertificateDer<'_>]) -> Result<(), Error> {
        let key = key_in(spki).filter(|_| more.is_empty()).ok_or(CertificateError::BadEncoding)?;
        let is_validator = key != self.own && self.roster.borrow().source_of(&key).is_some();
        is_validator.then_some(()).ok_or_else(|| CertificateError::ApplicationVerificationFailure.into())
    }

    fn holds(message: &[u8], spki: &[u8], signed: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        let key = key_in(spki).filter(|_| signed.scheme == SignatureScheme::ED25519);
        let signature = signed.signature().try_into().ok().map(Signature::from_bytes);
        let holds = key.zip(signature).is_some_and(|(key, signature)| signature.verify(&key, message).is_ok());
        let wrong = || CertificateError::BadSignature.into();
        holds.then(HandshakeSignatureValid::assertion).ok_or_else(wrong)
    }
}

/// Why a signature of TLS 1.2 is refused, which is never asked for.
fn old() -> Error {
    PeerMisbehaved::SelectedUnofferedCipherSuite.into()
}

impl ServerCertVerifier for OfRoster {
    fn verify_server_cert(
        &self,
        spki: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(spki, more).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::holds(message, spki, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for OfRoster {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        spki: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(spki, more).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::holds(message, spki, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
