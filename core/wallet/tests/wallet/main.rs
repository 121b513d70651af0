//! The wallet's tests, from outside: a vault whose process was killed, in [`killed`]; and how it follows a network that went on without it,
//! in [`following`], and how soon it is of use then, in [`usable`]; and wallets as earlier versions left them, in [`packed`].
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod following;
mod killed;
mod network;
mod packed;
mod usable;
