//! The application without a screen: what a phone, a desktop and the command line have in common.
//!
//! One task owns a wallet. Whoever shows something [`send`](App::send)s it commands,
//! [`subscribe`](App::subscribe)s to its [`State`], which is what a screen shows, and may listen to
//! [`Event`]s. Nobody else touches the wallet.
//!
//! ```text
//! screen ── send(GrantStudy { … }) ──►  ┌───────────────┐
//!        ◄── Running: progress, end ──  │ one task, one │ ──►  network
//!        ◄── watch State ─────────────  │    wallet     │ ──►  vault
//!        ◄── Event ───────────────────  └───────┬───────┘
//!                                        fetches, tasks of their own
//! ```
//!
//! Commands are done one after another, fetches beside them. A revocation waits for nothing that can be begun
//! again: what is under way gives way to it and is begun again after it. Every command can be cancelled, and
//! may be dropped at any instant: what a wallet does it writes down before it does it, so that a cancelled
//! command is as safe as a killed one, and goes on where it stopped when it is asked for again.
//!
//! It knows no screen, no command line and no operating system; what it says to people is in [`Trouble`].
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use clavicle_app::{App, FetchGranted, ReadInbox};
//! use clavicle_ledger::time::LocalTime;
//! use clavicle_wallet::vault::Passphrase;
//!
//! # async fn story(passphrase: Passphrase, clock: fn() -> LocalTime) -> Result<(), clavicle_app::Trouble> {
//! let rossi = App::open_recipient(Path::new("rossi"), Arc::new(passphrase), clock).await?;
//! let read = rossi.send(ReadInbox {})?.ended().await?;
//! println!("{} new", read.new.len());
//!
//! let state = rossi.subscribe();
//! let Some(granted) = state.borrow().received.first().map(|row| row.grant) else { return Ok(()) };
//! let fetching = rossi.send(FetchGranted { grant: granted, out: None })?;
//! // Meanwhile a screen pauses, orders, reads: `fetching.control()`.
//! let fetched = fetching.ended().await?;
//! println!("{}", fetched.comparison);
//! rossi.close().await;
//! # Ok(())
//! # }
//! ```

mod actor;
mod command;
mod invitation;
mod owner;
mod person;
mod running;
mod state;
mod trouble;

pub use self::actor::{App, Event};
pub use self::command::{
    AddKeys, AnswerInvitation, Ask, AskStanding, AskStudies, AskWho, AwaitInvitation, BringIn, ChangeGrant, CheckWords,
    Command, Done, EndDevice, EndGrants, EndVouching, FetchAsMember, FetchCredential, FetchGranted, FetchOwn,
    FindGranted, FindStudies, ForgetCopy, FoundGrants, FoundStudy, GrantInvited, GrantStudies, GrantStudy, InboxRead,
    Invite, ListSeries, ListVouched, LookAtCard, LookForAnswer, LookForOpening, MoveOutcome, MoveStudies, MovedStudies,
    NameDevice, NoteUse, OpenGranted, OpenOwn, OpenStudy, PickUp, PickWords, ReadInbox, RecoverStudies,
    RequestCredential, RequestMembership, RevokeGrant, RevokedGrant, SetCaps, ShareDevices, SharedNews, ShowCard,
    ShowNewWords, ShowOrganisation, ShowWords, SignGrant, SpreadGrants, SubmitGrant, TakeNewWords, TakeWord,
    VetoRecoveries, VouchForMember, WhoHas,
};
pub use self::invitation::{AnswerRow, InvitationRow, InvitationStage, WhoAnswered};
pub use self::person::Person;
pub use self::running::{CommandId, Running};
pub use self::state::{GrantRow, PlannedRow, ReceivedRow, RunningRow, State, StudyRow};
pub use self::trouble::{Trouble, TroubleKind, sentences};
