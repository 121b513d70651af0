//! What a telephone shows, and what follows from what is pressed: pure. Time is passed in, nothing is asked for, and what is to be done comes out as
//! a value.
//!
//! ```text
//! press, text, event ──► reduce ──► State ──► page ──► Page ──► a shell draws it
//!                          └──────► Effect ──► somebody does it ──► Event
//! ```
//!
//! Every [`Page`] has a title, a text, one main action and a way back. What it says are keys into a catalogue, with what stands in the sentences: no
//! language is spoken here. A shell knows no product: it draws the parts of a page, and says by its name what was pressed.
//!
//! No secret is in a [`State`], and no pixel: secrets go past it as bytes that are overwritten, pictures as tiles. What is somebody's is a
//! [`Private`], which `Debug` does not write.
//!
//! ```
//! use clavicle_mobile_state::{DeviceLock, Found, Input, State, action, page, reduce};
//!
//! let state = State::start(Found::Nothing, DeviceLock::Ready, 0);
//! let shown = page(&state);
//! assert_eq!((shown.name.as_str(), shown.main.id.as_str()), ("welcome.new", "begin.patient"));
//!
//! let pressed = action(&state, "begin.patient").map(Input::Press);
//! let (state, effects) = reduce(&state, 1_790_000_000_000, pressed.unwrap());
//! assert!(page(&state).name == "protect.passphrase" && effects.is_empty());
//! ```

mod action;
mod every;
mod page;
mod reduce;
mod screen;
mod sentence;
mod show;
mod state;
mod trouble;
mod wallet;
mod work;

pub use self::action::Action;
pub use self::every::{every, keys};
pub use self::page::{Banner, Choice, Entry, Fact, Field, FieldKind, Outside, Page, Part, Picture, Press, Tone};
pub use self::reduce::reduce;
pub use self::screen::{NAMES, Screen};
pub use self::sentence::{Argument, Day, Private, Sentence, Value};
pub use self::show::{action, page};
pub use self::state::{Found, Input, LANGUAGES, LOCKS_AFTER_MS, MOST_TYPED, State};
pub use self::trouble::{Trouble, TroubleKind};
pub use self::wallet::{
    Grant, Handle, Look, LookKind, Mode, Pending, Person, Recall, Received, ReceivedStanding, Report, Shot, Stage,
    Standing, Study, Verdict, View, Wallet,
};
pub use self::work::{By, DeviceLock, Did, Effect, Event, Job, Misfit, NotShared, Over, Seen, Ticket, Who};
