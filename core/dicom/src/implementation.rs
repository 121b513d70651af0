//! How this program calls itself in what it writes (PS3.7 D.3.3.2).

/// Implementation Class UID (0002,0012) of files that this program encodes.
pub const IMPLEMENTATION_CLASS_UID: &str = "2.25.151342406766523349440324309925944196664";
/// Implementation Version Name (0002,0013), at most 16 characters.
pub const IMPLEMENTATION_VERSION_NAME: &str = concat!("CLAVICLE ", env!("CARGO_PKG_VERSION"));
const _: () = assert!(IMPLEMENTATION_VERSION_NAME.len() <= 16);
