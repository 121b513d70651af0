//! DIMSE: images in the way a hospital's modalities and archives send them, by C-STORE over an association (PS3.7, PS3.8).
//!
//! It stands before intake, where a folder of files would: an [`Scp`] receives objects into a spool folder, a file each, and hands
//! each to a [`Sink`]. It promises three things. The bytes of a data set are those that were sent: a file is a preamble, file
//! meta information made here, and what came over the wire. A sender is told of success only when the file is whole, on the
//! disk to stay, and the sink has agreed; of what was begun and not finished, nothing stays. And what a peer claims costs no memory:
//! an association has one buffer, whatever the size of an object or of a PDU. It refuses to know what is in a data set.
//!
//! An [`Association`] is the other side: it sends files to somebody's archive, verbatim again.
//!
//! | | |
//! |---|---|
//! | [`title`](AeTitle) | the names of application entities |
//! | `pdu` | the units of the upper layer |
//! | `associate` | how an association is asked for and accepted |
//! | `fault` | why it cannot go on, and what the peer is told |
//! | `wire` | one connection: fragments in, units out, each in time |
//! | `message` | messages: commands, and the data sets behind them |
//! | `command` | command sets, and [`Status`] codes |
//! | `syntax` | what is accepted of what a peer proposes |
//! | `meta` | file meta information |
//! | `spool` | files that are whole, or not there |
//! | `sink` | who takes what was received |
//! | `connections` | who is connected, and who has to go |
//! | `provider` | one association, from its request to its end |
//! | `scp` | accepts them, and ends them |
//! | `proposal` | files to be sent, and what to propose for them |
//! | `scu` | the other side |
//!
//! ```no_run
//! use std::sync::Arc;
//! use clavicle_dimse::{AeTitle, Received, Refusal, Scp, Settings, Sink};
//!
//! struct Print;
//! impl Sink for Print {
//!     fn received(&self, object: &Received) -> Result<(), Refusal> {
//!         println!("{} bytes in {}", object.size, object.path.display());
//!         Ok(())
//!     }
//! }
//!
//! let listen = "127.0.0.1:11112".parse()?;
//! let scp = Scp::bind(Settings::new(listen, AeTitle::new("CLAVICLE")?, "spool".into()), Arc::new(Print))?;
//! println!("listening on {}", scp.address());
//! scp.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod associate;
mod command;
mod connections;
mod fault;
mod message;
mod meta;
mod pdu;
mod proposal;
mod provider;
mod scp;
mod scu;
mod settings;
mod sink;
mod spool;
mod syntax;
mod title;
mod wire;

pub use command::Status;
pub use fault::Violation;
pub use meta::MetaError;
pub use pdu::Rejection;
pub use proposal::{Proposal, StoreFile};
pub use scp::{BindError, Scp};
pub use scu::{Association, Peer, ScuError};
pub use settings::{Called, Calling, Settings};
pub use sink::{Allowance, Arriving, Declined, End, Ended, Received, Refusal, RefusalStatus, Sink};
pub use title::{AeTitle, AeTitleError};
