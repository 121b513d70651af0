//! Prints what is drawn and translated without the library: `states` every state, as a page; `states keys` every sentence, with what stands in it.

use clavicle_mobile_state::{every, keys, page};

fn main() -> Result<(), serde_json::Error> {
    let text = match std::env::args().nth(1).as_deref() {
        Some("keys") => serde_json::to_string_pretty(&keys())?,
        _ => serde_json::to_string_pretty(&every().iter().map(page).collect::<Vec<_>>())?,
    };
    println!("{text}");
    Ok(())
}
