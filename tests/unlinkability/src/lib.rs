//! Whether strangers can link one patient's studies: a game over a simulated network.
//!
//! | | |
//! |---|---|
//! | [`Life`] | how people live: how often they see a doctor, let somebody in, lose a phone |
//! | [`World`] | a simulated time of it: transactions that the real ledger executed, letters, and whose they are |
//! | [`Adversary`] | who plays, and what it sees |
//! | [`play`] | shows it pairs of studies, of one patient or of two, and counts how often it is right |
//!
//! Keys, ids, transactions, their times and letters are made by the code that wallets make them with. What is simulated
//! is people, their clocks, and the network in between. The game is defined in the crate's README.

mod adversary;
mod classify;
mod dice;
mod game;
mod life;
mod network;
mod world;

pub use self::adversary::Adversary;
pub use self::game::{Alike, Pairs, Score, play};
pub use self::life::{Leak, Life};
pub use self::world::{Act, World};
