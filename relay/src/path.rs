//! Paths in JSON, which has texts alone, and a path need not be one.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serializer};

/// For a person to read: what is no text is marked.
pub(crate) fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// For a program to open: a text where the path is one, and else its bytes.
pub(crate) mod exact {
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::{Path, PathBuf};

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::Bytes;

    pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => path.as_os_str().as_bytes().serialize(serializer),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Bytes::deserialize(deserializer).map(Bytes::into_path)
    }
}

/// The same of a path that may not be there.
pub(crate) mod exact_if_any {
    use std::path::PathBuf;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{Bytes, exact};

    pub(crate) fn serialize<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
        match path {
            Some(path) => exact::serialize(path, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
        Ok(Option::<Bytes>::deserialize(deserializer)?.map(Bytes::into_path))
    }
}

/// The same of several.
pub(crate) mod exact_each {
    use std::path::PathBuf;

    use serde::{Deserialize as _, Deserializer, Serialize, Serializer};

    use super::{Bytes, exact};

    #[derive(Serialize)]
    struct Exact<'a>(#[serde(serialize_with = "exact::serialize")] &'a PathBuf);

    pub(crate) fn serialize<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(paths.iter().map(Exact))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
        Ok(Vec::<Bytes>::deserialize(deserializer)?.into_iter().map(Bytes::into_path).collect())
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Bytes {
    Text(PathBuf),
    Bytes(Vec<u8>),
}

impl Bytes {
    fn into_path(self) -> PathBuf {
        match self {
            Self::Text(path) => path,
            Self::Bytes(bytes) => OsString::from_vec(bytes).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Both {
        #[serde(with = "exact")]
        opened: PathBuf,
        #[serde(with = "exact_if_any")]
        perhaps: Option<PathBuf>,
        #[serde(with = "exact_each")]
        several: Vec<PathBuf>,
        #[serde(serialize_with = "lossy")]
        shown: PathBuf,
    }

    #[test]
    fn a_path_that_is_no_text_is_opened_as_it_is_and_shown_with_a_mark() {
        let path = PathBuf::from(OsString::from_vec(b"IM-\xe9-1".to_vec()));
        for path in [path, PathBuf::from("IM-1")] {
            let several = vec!["a".into(), path.clone()];
            let both = Both { opened: path.clone(), perhaps: Some(path.clone()), several, shown: path.clone() };
            let read: Both = serde_json::from_str(&serde_json::to_string(&both).unwrap()).unwrap();
            assert_eq!(read.several, both.several);
            let settings: Both = toml::from_str(&toml::to_string(&both).unwrap()).unwrap();
            assert_eq!(settings.several, both.several);
            assert_eq!((&read.opened, read.perhaps.as_ref()), (&path, Some(&path)));
            assert_eq!(read.shown.to_str(), Some(&*path.to_string_lossy()));
        }
        let none = Both { opened: PathBuf::new(), perhaps: None, several: Vec::new(), shown: PathBuf::new() };
        assert_eq!(serde_json::from_str::<Both>(&serde_json::to_string(&none).unwrap()).unwrap(), none);
    }
}
