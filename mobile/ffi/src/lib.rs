//! What Kotlin and Swift call. So far the pages alone, with every state there is.

mod pages;

uniffi::setup_scaffolding!("clavicle");

pub use self::pages::gallery;
