//! The wallet's tests, from outside: what its bytes are, in [`vectors`]; and a vault whose process was killed, in [`killed`].
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod killed;
mod vectors;
