//! The relay's socket: how commands reach a relay that is running.
//!
//! A Unix socket in the relay's folder, readable by its owner alone; who connects is asked for its user id besides, since a
//! folder's permissions can be changed by accident. What is spoken over it is HTTP with JSON, so that the same routes can
//! serve a page on loopback.

mod client;
mod places;
mod server;

pub use self::client::{ClientError, get, post, post_json};
pub use self::server::{ControlError, is_served, serve};

/// The route that answers with a [`crate::service::Status`].
pub const STATUS: &str = "/status";
/// The route that answers with a list of [`crate::service::ValidatorRow`].
pub const VALIDATORS: &str = "/validators";
/// The route that takes the number of an epoch, or nothing, and answers with a [`crate::service::Report`].
pub const REPORT: &str = "/report";

/// The route that takes an encoded envelope and answers with a [`Submitted`].
pub const SUBMIT: &str = "/submit";
/// The route that takes an [`IngestRequest`](crate::service::IngestRequest) and answers with an [`Ingested`](crate::service::Ingested);
/// asked without one, it answers with a [`TakingRow`](crate::service::TakingRow).
pub const INGEST: &str = "/ingest";
/// The route that answers with a list of [`StudyRow`](crate::service::StudyRow)s.
pub const STUDIES: &str = "/studies";
/// The route that answers with a list of [`QuarantineRow`](crate::reception::QuarantineRow)s.
pub const QUARANTINE: &str = "/quarantine";
/// The route that takes how a study's id begins, closes it and answers with a [`Done`](crate::service::Done).
pub const CLOSE: &str = "/close";
/// The route that takes a [`StandingRequest`](crate::service::StandingRequest) and answers with [`Stands`](crate::service::Stands).
pub const STAND: &str = "/stand";
/// The route that takes a [`RemoveRequest`](crate::service::RemoveRequest) and answers with a [`Removal`](crate::service::Removal).
pub const REMOVE: &str = "/remove";
/// The route that takes an [`ExpireRequest`](crate::service::ExpireRequest) and answers with an [`Expired`](crate::service::Expired).
pub const EXPIRE: &str = "/expire";
/// The route that takes a [`CheckRequest`](crate::service::CheckRequest) and answers with a [`CheckRow`](crate::service::CheckRow).
pub const CHECK: &str = "/check";
/// The route that takes a [`CompareRequest`](crate::service::CompareRequest) and answers with a [`CompareRow`](crate::service::CompareRow).
pub const COMPARE: &str = "/compare";
/// The route that answers with a list of [`ContradictionRow`](crate::service::ContradictionRow)s.
pub const CONTRADICTIONS: &str = "/contradictions";
/// The route that takes how a study's id begins, or nothing, and answers with a [`CompletenessRow`](crate::service::CompletenessRow).
pub const COMPLETENESS: &str = "/completeness";
/// The route that takes how a study's id begins and answers with a [`KosRow`](crate::service::KosRow).
pub const KOS: &str = "/kos";
/// The route that takes a [`PickupRequest`](crate::service::PickupRequest) and answers with an [`Issued`](crate::service::Issued).
pub const PICKUP: &str = "/pickup";
/// The route that answers with a list of [`PickupRow`](crate::service::PickupRow)s.
pub const PICKUPS: &str = "/pickups";
/// The route that takes an [`AuditRequest`](crate::service::AuditRequest) and answers with an [`Audit`](crate::service::Audit).
pub const AUDIT: &str = "/audit";
/// The route that takes a reference and answers with a [`Refusal`](crate::gate::Refusal).
pub const EXPLAIN: &str = "/explain";

/// What became of a transaction that was submitted.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Submitted {
    /// The transaction's id.
    pub transaction: String,
    /// The envelope's hash, by which its inclusion is proven.
    pub envelope: String,
    /// The height at which it was executed, if it was already.
    pub executed_at: Option<u64>,
}

/// The longest path of a Unix socket on Linux, without its final zero.
pub const MAX_SOCKET_PATH: usize = 107;
