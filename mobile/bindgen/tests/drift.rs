//! Bindings are the same each time they are made, and speak of everything that goes over.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use camino::Utf8Path;
use clavicle_mobile_bindgen::write_bindings;

/// The library that was built with this test: what it is called depends on how it was asked for.
fn library() -> PathBuf {
    // That it is there is what the dependency is for.
    assert!(!clavicle_mobile::gallery().is_empty());
    let here = std::env::current_exe().unwrap();
    let deps = here.parent().unwrap();
    let name = format!("{}clavicle_mobile{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let found = [deps.join(&name), deps.parent().unwrap().join(&name)].into_iter().find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no {name} beside {}", here.display()))
}

fn files(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut row = vec![folder.to_owned()];
    while let Some(at) = row.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                row.push(path);
            } else {
                all.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    all
}

#[test]
fn bindings_of_one_library_are_the_same_each_time() {
    let (library, folders) = (library(), [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()]);
    for folder in &folders {
        write_bindings(Utf8Path::from_path(&library).unwrap(), Utf8Path::from_path(folder.path()).unwrap()).unwrap();
    }
    let [one, other] = folders.each_ref().map(|folder| files(folder.path()));
    assert!(one == other, "two bindings of one library differ");
    let names: Vec<_> = one.keys().map(|path| path.to_string_lossy().into_owned()).collect();
    let due =
        ["kotlin/uniffi/clavicle/clavicle.kt", "swift/clavicle.swift", "swift/clavicleFFI.h", "swift/module.modulemap"];
    assert_eq!(names, due);
    for text in [&one[Path::new(due[0])], &one[Path::new(due[1])]] {
        for name in ["Page", "Press", "gallery"] {
            assert!(text.contains(name), "{name} is not there");
        }
    }
}
