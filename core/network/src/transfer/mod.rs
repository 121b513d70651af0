//! Transfer: a study from its source to whoever was granted it, over one iroh connection and one stream of it.
//!
//! ```text
//! recipient                                source
//! hello, signed by the connection's key ─►
//!                                       ◄─ refused, a reference      the same for every reason, at a fixed tick
//!                                       ◄─ or: salt, manifest
//! wants: places in the manifest         ─►
//!                                       ◄─ place (4) ‖ length (8) ‖ bytes, for each
//! wants …, end of stream                ─►
//! ```
//!
//! Messages are a length of four bytes and borsh; numbers of the framing have their high byte first. The endpoint *is* the
//! granted key, so that the handshake proves it; [`Gate`] asks [`authorise`](clavicle_ledger::authorise::authorise). Until the connection ends,
//! the source asks again whenever the consent may have changed, and closes the connection when the answer is no. The recipient believes
//! nothing: manifest and bytes are verified before they have a name on its disk.

mod message;
mod receive;
mod send;

pub use self::message::{Item, Listing, MAX_WANTS, Offer, PROTOCOL, Reference};
pub use self::receive::{Fetch, FetchError, Got, Outcome, Place, Progress, Verified, connect};
pub use self::send::{Admission, Gate};
pub(crate) use self::send::{Refusals, serve};

/// How much longer than signed an item may come. It is altered either way; up to here it is read to its end, so that the rest can
/// follow. What is longer still, an honest source does not send at all, and from another nothing more is taken.
const MAX_SURPLUS: u64 = 1024 * 1024;

/// The code with which a source closes a connection that it has refused.
const REFUSED: u32 = 1;
/// The code with which a source closes a connection whose consent has ended.
const ENDED: u32 = 2;
/// The code with which a source closes a connection because the study was revised.
const REVISED: u32 = 3;
/// The code with which a source closes a connection that went wrong otherwise.
const FAILED: u32 = 4;
/// The code with which a recipient says that it has all it wanted.
const DONE: u32 = 0;
