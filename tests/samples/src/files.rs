//! Real files, which `.ci/test-data` puts into a cache outside the repository.

use std::env;
use std::path::PathBuf;

/// One of them, or a folder of them.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn test_data(name: &str) -> PathBuf {
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/clavicle/test-data"));
    let folder = env::var_os("CLAVICLE_TEST_DATA").map(PathBuf::from).or(home);
    let path = folder.expect("a user has a home, or says where the test data is").join(name);
    assert!(path.exists(), "{} is missing: run .ci/test-data first", path.display());
    path
}

/// One of pydicom's test files, or the folder of all.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn pydicom(name: &str) -> PathBuf {
    test_data("pydicom-3.0.2/pydicom/data/test_files").join(name)
}
