//! Transfer: a study from its source to whoever was granted it, over one iroh connection and one stream of it.
//!
//! ```text
//! recipient                                source
//! hello, signed by the connection's key ─►
//! where the Terms ask for a member: who vouches for whoever acts ─►
//!                                       ◄─ refused, a reference      the same for every reason, at a fixed tick
//!                                       ◄─ or: receipt; salt, manifest
//! its signature on the receipt          ─►
//! wants: place, first MiB               ─►
//!                                       ◄─ for each: place (4) ‖ 1 ‖ item, or place (4) ‖ 0 when it is not to be had
//! or, a holder: receipts from …         ─►                     who wants only these asks [`Asking`], and no receipt is written of it
//!                                       ◄─ receipts
//! wants …, end of stream                ─►
//! ```
//!
//! An item of up to 1 MiB is its bytes. A larger one is its subtrees, 32 bytes for each MiB, and then 1 ‖ MiB for each from the first
//! that is wanted, or 0 when the rest is not to be had. How long things are stands in the manifest, so that nobody can announce anything else. Messages are a
//! length of four bytes and borsh; numbers of the framing have their high byte first.
//!
//! The endpoint *is* the granted key, so that the handshake proves it; [`Gate`] asks [`authorise`](clavicle_ledger::authorise::authorise).
//! Until the connection ends, the source asks again whenever the consent may have changed, and closes the connection when the answer is no. It
//! verifies what it reads before it sends it: a disk that has lost bits is its operator's to hear of, and not the recipient's to find out. The
//! recipient believes nothing all the same: the manifest, and each MiB as it arrives, are verified before they go into its [`Pack`](crate::pack::Pack).

pub use futures_util::future::BoxFuture;

mod message;
mod reading;
mod receive;
mod refusals;
mod send;
mod statements;
mod steering;
mod turn;
mod writing;

pub use self::message::{Item, Listing, MAX_WANTS, Offer, PROTOCOL, Reach, Reference};
pub use self::reading::Kept;
pub use self::receive::{Fetch, FetchError, Got, Outcome, Progress, Verified, connect, connect_as};
pub use self::send::{Admission, BoxError, Gate};
pub(crate) use self::send::{Transfers, serve};
pub(crate) use self::statements::serve as state;
pub use self::statements::{Asking, STATEMENTS};
pub use self::steering::{Demand, Pace, Places, Steering};

/// The code with which a source closes a connection that it has refused.
const REFUSED: u32 = 1;
/// The code with which a source closes a connection whose consent has ended.
const ENDED: u32 = 2;
/// The code with which a source closes a connection because the study was revised.
const REVISED: u32 = 3;
/// The code with which a source closes a connection that went wrong otherwise.
const FAILED: u32 = 4;
/// The code with which a recipient says that it has all it wanted. Not 0, with which a connection ends that is merely dropped.
const DONE: u32 = 6;
