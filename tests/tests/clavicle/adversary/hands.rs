//! The adversary's hands: taking hold of studies, granting and knocking with any keys and bytes.

use std::net::{Ipv4Addr, SocketAddr};

use borsh::BorshDeserialize as _;
use clavicle_ledger::action::{DefineStudy, Grant, Revoke};
use clavicle_ledger::authorise::{Claim as Right, Hello, SignedHello};
use clavicle_ledger::encoding::{self, Ascending};
use clavicle_ledger::id::{ChainId, GrantId, ManifestRoot, RequestDigest, StudyId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::receipt::SignedReceipt;
use clavicle_ledger::terms::Terms;
use clavicle_ledger::time::{HOUR_MS, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Envelope};
use clavicle_letters::pickup::PickupCode;
use clavicle_network::endpoint::{Remote, bind_towards};
use clavicle_network::pickup::{
    self, Claim, Claimed, NotOffered, Offered, Opened, PickupError, PickupId, Secret, TicketHash,
};
use clavicle_network::transfer::{self, Item, Offer};
use clavicle_relay::operations::pickup::VisitRequest;
use clavicle_samples::terms::terms;
use iroh::endpoint::{Connection, ConnectionError, QuicTransportConfig, RecvStream, SendStream, VarInt, presets};
use iroh::{Endpoint, EndpointAddr, EndpointId, RelayMode};
use tokio::time::timeout;

use super::ground::{Ground, PIN, SOURCE, now};
use crate::image::Image;
use crate::process::PATIENCE;

/// The code with which a source closes what it has refused.
pub(super) const REFUSED: VarInt = VarInt::from_u32(1);
/// The code of a connection that did not go as the protocol does.
pub(super) const FAILED: VarInt = VarInt::from_u32(4);
/// The code with which a source closes what has ended.
pub(super) const ENDED: VarInt = VarInt::from_u32(2);

/// What a source's operator reads when a grant is not there, or no more.
pub(super) const NO_GRANT: &str =
    "no such grant is live on the study: it was never made, was revoked, replaced or has ended";
/// What a source's operator reads when a revocation is not in a block yet.
pub(super) const SEEN: &str = "a revocation of the grant was seen and binds before it is in a block";

/// A visit that was opened.
pub(super) struct Visit {
    /// Kept: with it the connection ends.
    _endpoint: Endpoint,
    opened: Opened,
}

impl Visit {
    pub(super) fn offers(&self) -> &[Offered] {
        self.opened.offers()
    }

    pub(super) fn not_offered(&self) -> &[NotOffered] {
        self.opened.not_offered()
    }

    /// Claims, and returns when what can be final is.
    pub(super) async fn claim(self, claims: Vec<Claim>) -> Vec<Claimed> {
        self.opened.claim(claims).await.unwrap()
    }
}

/// A study in somebody's hands.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) study: StudyId,
    pub(super) holder: SecretKey,
    pub(super) root: ManifestRoot,
    /// Its series, by the ids that Terms name them by.
    pub(super) series: Vec<clavicle_ledger::id::SeriesId>,
}

/// A grant, with all that goes with it.
#[derive(Clone)]
pub(super) struct Granted {
    pub(super) study: StudyId,
    pub(super) id: GrantId,
    pub(super) grantee: SecretKey,
    pub(super) terms: Terms,
    pub(super) envelope: Envelope,
}

impl Ground {
    /// A study of two series with two images each, that nobody holds yet.
    pub(super) async fn ingest_one(&self, number: u32) -> StudyId {
        let image = |n: u32| Image {
            study: number,
            series: n / 2,
            number: n,
            patient: "P1",
            born: "19700101",
            accession: "",
            pixels: 1_000,
        };
        self.ingest(&[image(0), image(1), image(2), image(3)]).await
    }

    /// Such a study with its holder's key.
    pub(super) async fn study(&self, number: u32) -> Held {
        let study = self.ingest_one(number).await;
        self.take_hold(study).await
    }

    /// Takes hold of a study with a fresh key.
    pub(super) async fn take_hold(&self, study: StudyId) -> Held {
        let code = self.issue(VisitRequest::Study(study.to_string())).await.unwrap();
        let opened = self.open(&code, &self.key(), PIN).await.unwrap();
        let (claim, held) = self.claim(&opened, &self.key());
        let claimed = opened.claim(vec![claim]).await;
        assert!(matches!(claimed.as_slice(), [Claimed::Final { .. }]), "{claimed:?}");
        held
    }

    /// Opens a visit with the endpoint of `key`.
    pub(super) async fn open(&self, code: &PickupCode, key: &SecretKey, pin: &str) -> Result<Visit, PickupError> {
        let source = &self.hospitals[SOURCE].served;
        let endpoint = bind_towards(key, source.addresses[0]).await.unwrap();
        let id = PickupId { chain: code.chain, source: code.source, ticket: TicketHash::of(&code.ticket) };
        let secret = Secret::of(&code.ticket, code.question, pin);
        let opened = pickup::meet(&endpoint, source, &id, &secret).await?.prove().await?;
        Ok(Visit { _endpoint: endpoint, opened })
    }

    /// A claim of the first study that is offered, by `holder`.
    pub(super) fn claim(&self, visit: &Visit, holder: &SecretKey) -> (Claim, Held) {
        let offer = &visit.offers()[0];
        let (manifest, salt) = (&offer.manifest.manifest, &offer.salt);
        let header = manifest.header();
        let root = manifest.root(&self.chain);
        let action = Action::DefineStudy(DefineStudy {
            digest: salt.study_digest(header.study_instance_uid.as_str()),
            source: self.hospitals[SOURCE].operational(),
            holder: holder.public(),
            delegates: Ascending::new(),
            manifest_root: root,
            open: header.open,
        });
        let series = manifest.series().iter().map(|one| salt.series_id(one.series_instance_uid.as_str())).collect();
        let held = Held { study: header.study, holder: holder.clone(), root, series };
        (self.claim_of(action, holder), held)
    }

    /// A claim of anything, signed by `holder`.
    pub(super) fn claim_of(&self, action: Action, holder: &SecretKey) -> Claim {
        let body = Body { submit_by: now().0.plus(HOUR_MS), nonce: self.nonce(), action };
        Claim { holder: holder.sign(&body.preimage(&self.chain)), body }
    }

    /// A grant of `held` to a fresh key on terms changed by `change`, signed and not submitted.
    pub(super) fn sign_grant(&self, held: &Held, change: impl FnOnce(&mut Terms)) -> Granted {
        self.sign_grant_to(held, &self.key(), change)
    }

    /// The same, to a key.
    pub(super) fn sign_grant_to(&self, held: &Held, to: &SecretKey, change: impl FnOnce(&mut Terms)) -> Granted {
        let mut terms = Terms {
            later_revisions: false,
            blinding: *self.key().public().as_bytes(),
            ..terms(Timestamp(now().0.0 - 60_000), now().0.plus(HOUR_MS), held.root)
        };
        change(&mut terms);
        let action = Action::Grant(Grant {
            study: held.study,
            granter: held.holder.public(),
            grantee: to.public(),
            expiry_day: terms.expires.day_rounded_up(),
            terms: terms.commitment(&self.chain, held.study, &to.public()),
            request: RequestDigest::NONE,
        });
        let envelope = self.sign(action, &[&held.holder]);
        let id = GrantId::from(envelope.body.id(&self.chain));
        Granted { study: held.study, id, grantee: to.clone(), terms, envelope }
    }

    /// A grant that is final.
    pub(super) async fn grant(&self, held: &Held, change: impl FnOnce(&mut Terms)) -> Granted {
        let granted = self.sign_grant(held, change);
        self.make_final(&granted.envelope).await;
        granted
    }

    /// The revocation of a grant by whoever has this key.
    pub(super) fn sign_revocation(&self, granted: &Granted, revoker: &SecretKey) -> Envelope {
        let action = Action::Revoke(Revoke {
            study: granted.study,
            revoker: revoker.public(),
            grant: granted.id,
            grant_submit_by: granted.envelope.body.submit_by,
        });
        self.sign(action, &[revoker])
    }

    /// What is said to the source for a study, now.
    pub(super) fn hello(&self, study: StudyId, claim: Right) -> Hello {
        Hello::new(self.hospitals[SOURCE].id, study, claim, now().0)
    }

    /// What the grantee says, now.
    pub(super) fn hello_of(&self, granted: &Granted) -> SignedHello {
        let right = Right::Grant { grant: granted.id, terms: granted.terms.clone() };
        self.hello(granted.study, right).sign(&self.chain, &granted.grantee)
    }

    /// What the holder says, now.
    pub(super) fn hello_of_holder(&self, held: &Held) -> SignedHello {
        self.hello(held.study, Right::Holder).sign(&self.chain, &held.holder)
    }

    /// Knocks as the grantee and is let in.
    #[track_caller]
    pub(super) fn served(&self, granted: &Granted) -> impl Future<Output = ()> {
        let (to, key, hello) = (self.hospitals[SOURCE].served.clone(), granted.grantee.clone(), self.hello_of(granted));
        let place = std::panic::Location::caller();
        async move {
            let endpoint = bind_towards(&key, to.addresses[0]).await.unwrap();
            let let_in = transfer::connect(&endpoint, &to, &hello).await;
            assert!(let_in.is_ok(), "{place}: {let_in:?}");
        }
    }

    /// Why the source refuses the grantee now, by its operator's words.
    pub(super) async fn refused(&self, granted: &Granted) -> String {
        self.refusal(SOURCE, &granted.grantee, &self.hello_of(granted)).await
    }

    /// Says a hello with the endpoint of `key` to hospital `n`, which must refuse it; why, by its operator's words.
    pub(super) async fn refusal(&self, n: usize, key: &SecretKey, hello: &SignedHello) -> String {
        self.refusal_of(n, key, &framed(&encoding::encode(hello))).await
    }

    /// Says anything. What whoever is refused is told must be the same for every reason, but for the reference.
    pub(super) async fn refusal_of(&self, n: usize, key: &SecretKey, said: &[u8]) -> String {
        let mut line = Line::open(key, &self.hospitals[n].served, None).await;
        line.send.write_all(said).await.unwrap();
        let told = timeout(PATIENCE, line.receive.read_to_end(64 * 1024)).await.unwrap().unwrap();
        let [0, 0, 0, 9, 0, reference @ ..] = told.as_slice() else { panic!("told {told:?}") };
        assert_eq!(reference.len(), 8, "{told:?}");
        assert_eq!(line.closed().await, (REFUSED, Vec::new()));
        let reference: String = reference.iter().map(|byte| format!("{byte:02x}")).collect();
        let refusal = self.explain(n, &reference).await.unwrap();
        assert_eq!(refusal.key, key.public().to_string());
        refusal.reason
    }
}

/// Up to here an item is verified whole.
pub(super) const MEBIBYTE: usize = 1024 * 1024;

/// A message as it goes over a stream.
pub(crate) fn framed(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// A list of wants as it goes over a stream.
pub(super) fn wants(places: &[u32]) -> Vec<u8> {
    let wants: Vec<(u32, u32)> = places.iter().map(|place| (*place, 0)).collect();
    framed(&[&[1][..], &encoding::encode(&wants)].concat())
}

/// A bare connection to a source's images.
pub(super) struct Line {
    /// Kept: with it the connection ends.
    _endpoint: Endpoint,
    key: SecretKey,
    pub(super) connection: Connection,
    pub(super) send: SendStream,
    pub(super) receive: RecvStream,
    /// How long the items are, by place.
    sizes: Vec<u64>,
}

impl Line {
    /// Connects with the endpoint of `key`, and lets the source send so many bytes ahead of what was read.
    pub(super) async fn open(key: &SecretKey, to: &Remote, window: Option<u32>) -> Self {
        let mut transport = QuicTransportConfig::builder();
        if let Some(window) = window {
            transport = transport.stream_receive_window(VarInt::from_u32(window));
        }
        let endpoint = Endpoint::builder(presets::Minimal)
            .secret_key(iroh::SecretKey::from_bytes(&key.seed()))
            .relay_mode(RelayMode::Disabled)
            .clear_address_lookup()
            .transport_config(transport.build())
            .clear_ip_transports()
            .bind_addr(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .unwrap();
        let endpoint = endpoint.bind().await.unwrap();
        // In a crowd a proof of address may come too late: then, as a wallet does, it begins anew.
        let connect = async || timeout(PATIENCE, endpoint.connect(address(to), transfer::PROTOCOL)).await.unwrap();
        let connection = match connect().await {
            Ok(connection) => connection,
            Err(_) => connect().await.unwrap(),
        };
        let (send, receive) = connection.open_bi().await.unwrap();
        Self { _endpoint: endpoint, key: key.clone(), connection, send, receive, sizes: Vec::new() }
    }

    /// Says hello, is let in, signs the receipt, and says whether the manifest was whole.
    pub(super) async fn enter(&mut self, chain: &ChainId, hello: &SignedHello) -> bool {
        self.send.write_all(&framed(&encoding::encode(hello))).await.unwrap();
        let mut len = [0; 4];
        timeout(PATIENCE, self.receive.read_exact(&mut len)).await.unwrap().unwrap();
        let mut offer = vec![0; u32::from_be_bytes(len) as usize];
        timeout(PATIENCE, self.receive.read_exact(&mut offer)).await.unwrap().unwrap();
        assert_eq!(offer[0], 1, "refused");
        let (receipt, offer) = <(SignedReceipt, Offer)>::try_from_slice(&offer[1..]).unwrap();
        let signature = receipt.receipt.digest(chain).countersign(chain, &self.key);
        self.send.write_all(&framed(&[&[0][..], &encoding::encode(&signature)].concat())).await.unwrap();
        self.sizes = offer.manifest.items().iter().map(Item::size).collect();
        offer.manifest.whole().is_some()
    }

    /// Reads one item to its end.
    pub(super) async fn item(&mut self) -> Vec<u8> {
        let lead = self.exactly(5).await;
        assert_eq!(lead[4], 1, "it is not to be had");
        let place = u32::from_be_bytes(lead[..4].try_into().unwrap());
        let size = usize::try_from(self.sizes[usize::try_from(place).unwrap()]).unwrap();
        if size <= MEBIBYTE {
            return self.exactly(size).await;
        }
        self.exactly(32 * size.div_ceil(MEBIBYTE)).await;
        let mut item = Vec::new();
        while item.len() < size {
            assert_eq!(self.exactly(1).await, [1], "the rest is not to be had");
            item.extend(self.exactly(MEBIBYTE.min(size - item.len())).await);
        }
        item
    }

    async fn exactly(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        timeout(PATIENCE, self.receive.read_exact(&mut bytes)).await.unwrap().unwrap();
        bytes
    }

    /// Reads what still comes; how many bytes, and whether it came to its end.
    pub(super) async fn rest(&mut self) -> (u64, bool) {
        let mut bytes = 0;
        loop {
            match timeout(PATIENCE, self.receive.read_chunk(64 * 1024)).await.unwrap() {
                Ok(Some(chunk)) => bytes += chunk.len() as u64,
                Ok(None) => return (bytes, true),
                Err(_) => return (bytes, false),
            }
        }
    }

    /// With which code and words the source closes it.
    pub(super) async fn closed(&self) -> (VarInt, Vec<u8>) {
        match timeout(PATIENCE, self.connection.closed()).await.unwrap() {
            ConnectionError::ApplicationClosed(close) => (close.error_code, close.reason.to_vec()),
            other => panic!("{other}"),
        }
    }
}

fn address(to: &Remote) -> EndpointAddr {
    let address = EndpointAddr::new(EndpointId::from_bytes(to.key.as_bytes()).unwrap());
    to.addresses.iter().fold(address, |address, at| address.with_ip_addr(*at))
}

/// Whether this key may fetch by the record.
pub(super) fn has_grant(record: &clavicle_ledger::study::Study, grantee: &Key) -> bool {
    record.grants.iter().any(|grant| grant.grantee == *grantee)
}
