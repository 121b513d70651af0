//! What Kotlin and Swift call is written by a program, from what the library says of itself: `clavicle-mobile-bindgen LIBRARY FOLDER`.
//!
//! ```text
//! FOLDER/kotlin/uniffi/clavicle/clavicle.kt
//! FOLDER/swift/clavicle.swift   clavicleFFI.h   module.modulemap
//! ```
//!
//! These files are made where they are needed, and are not kept: what is kept could be of another library. Each of them refuses to be loaded with a
//! library of which it was not made.

use camino::Utf8Path;
use uniffi_bindgen::bindings::{
    GenerateOptions, SwiftBindingsOptions, TargetLanguage, generate, generate_swift_bindings,
};

/// Writes the bindings of a library: a shared one, a static one, or an `rlib`.
///
/// # Errors
/// When the library cannot be read, says nothing, or a file cannot be written.
pub fn write_bindings(library: &Utf8Path, folder: &Utf8Path) -> anyhow::Result<()> {
    generate(GenerateOptions {
        languages: vec![TargetLanguage::Kotlin],
        source: library.to_owned(),
        out_dir: folder.join("kotlin"),
        ..GenerateOptions::default()
    })?;
    generate_swift_bindings(SwiftBindingsOptions {
        generate_swift_sources: true,
        generate_headers: true,
        generate_modulemap: true,
        source: library.to_owned(),
        out_dir: folder.join("swift"),
        xcframework: false,
        module_name: Some("clavicleFFI".to_owned()),
        modulemap_filename: Some("module.modulemap".to_owned()),
        metadata_no_deps: true,
        link_frameworks: Vec::new(),
        config: None,
    })
}
