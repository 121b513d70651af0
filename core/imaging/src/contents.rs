//! The DICOMDIR of a medium, held against the files that lie there.
//!
//! A CD says what is on it. What it lists and is not there was lost on the way, and is named; what is there and not listed is taken all the same. Names are
//! those of ISO 9660, and so neither their case counts nor a version (`;1`) or a full stop at the end. A name that leads out of the medium is not looked
//! for, and said. What was copied under another name is known by its SOP Instance UID.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use clavicle_dicom::references::{ListedFile, References};
use clavicle_dicom::unreadable::Unreadable;
use clavicle_manifest::Uid;
use clavicle_sandbox::ReadError;
use clavicle_sandbox::reader::Reader;

use crate::reason::MAX_FILES;

/// A DICOMDIR: a table of contents, and no instance.
#[derive(Debug)]
pub struct Contents {
    /// Which.
    pub path: PathBuf,
    /// How many files it lists, or why that cannot be read. Nothing where it was given without the folder that it is of.
    pub listed: Option<Result<usize, ReadError>>,
}

/// A file that a DICOMDIR lists, and that is not there as it lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotThere {
    /// Where it should be, or its name as it is listed where that is no place.
    pub path: PathBuf,
    /// The DICOMDIR.
    pub listed_by: PathBuf,
    /// In what way.
    pub absence: Absence,
}

/// In what way something that is listed is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// There is no such file.
    Missing,
    /// There is such a file, and it is not the instance that is listed, which is nowhere.
    Other,
    /// It has no name that a file of a medium may have: it leads out of it.
    Outside,
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "it is not there",
            Self::Other => "what lies there is not the instance that is listed, which is missing",
            Self::Outside => "that name leads out of the medium, and was not looked for",
        })
    }
}

/// What lies in a folder, as a DICOMDIR may name it.
#[derive(Debug, Default)]
pub(crate) struct Lying {
    /// All files.
    names: BTreeSet<String>,
    /// Those that are accounted for as something that was not taken.
    unread: BTreeSet<String>,
    /// All instances.
    instances: BTreeSet<Uid>,
}

impl Lying {
    pub(crate) fn file(&mut self, path: &Path) {
        self.names.insert(name_of(path));
    }

    pub(crate) fn unread(&mut self, path: &Path) {
        self.file(path);
        self.unread.insert(name_of(path));
    }

    pub(crate) fn instance(&mut self, path: &Path, sop_instance_uid: Uid) {
        self.file(path);
        self.instances.insert(sop_instance_uid);
    }

    /// Reads what these list, and says what of it is not there.
    pub(crate) fn held_against(&self, all: &mut [Contents], reader: &dyn Reader) -> Vec<NotThere> {
        let (mut absent, mut told) = (Vec::new(), BTreeSet::new());
        for contents in all {
            let listed = reader.list_one(&contents.path).and_then(|References { files, .. }| {
                let of_it: Vec<NotThere> = files.iter().filter_map(|one| self.absent(&contents.path, one)).collect();
                if absent.len() + of_it.len() > MAX_FILES {
                    return Err(Unreadable::TooLongForAList.into());
                }
                // Several may list the same.
                absent.extend(of_it.into_iter().filter(|one| told.insert(name_of(&one.path))));
                Ok(files.len())
            });
            contents.listed = Some(listed);
        }
        absent
    }

    fn absent(&self, listed_by: &Path, ListedFile { name, sop_instance_uid }: &ListedFile) -> Option<NotThere> {
        let not_there = |path, absence| Some(NotThere { path, listed_by: listed_by.to_owned(), absence });
        let Some(place) = place(name.as_str()) else { return not_there(name.as_str().into(), Absence::Outside) };
        let path = listed_by.parent().unwrap_or(Path::new("")).join(place);
        let is_known = sop_instance_uid.is_some_and(|uid| self.instances.contains(&uid));
        let name = name_of(&path);
        match (self.names.contains(&name), sop_instance_uid) {
            _ if is_known || self.unread.contains(&name) => None,
            (false, _) => not_there(path, Absence::Missing),
            (true, Some(_)) => not_there(path, Absence::Other),
            (true, None) => None,
        }
    }
}

/// A Referenced File ID as a path below the medium's root; nothing if it is none.
fn place(name: &str) -> Option<PathBuf> {
    let mut place = PathBuf::new();
    for component in name.split('\\').map(|component| component.trim_matches([' ', '\0'])) {
        match component {
            "." => {}
            "" | ".." => return None,
            _ if component.contains(['/', ':']) => return None,
            _ => place.push(component),
        }
    }
    Some(place)
}

/// A path so that all that name the same file of a medium are one.
fn name_of(path: &Path) -> String {
    let mut name = String::new();
    for component in path.iter() {
        let component = component.to_string_lossy();
        let is_version = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let plain = match component.rsplit_once(';') {
            Some((plain, version)) if is_version(version) => plain,
            _ => &component,
        };
        name.push('/');
        name.push_str(&plain.strip_suffix('.').unwrap_or(plain).to_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_medium_are_the_same_in_any_writing() {
        let one = name_of(Path::new("cd/IMAGES/IM1"));
        for other in ["cd/images/im1", "CD/IMAGES/IM1.;1", "cd/Images/IM1;1", "cd/IMAGES/IM1."] {
            assert_eq!(name_of(Path::new(other)), one, "{other}");
        }
        for other in ["cd/IMAGES/IM10", "cd/IMAGES/IM1;A", "IMAGES/IM1", "cd/IMAGES/IM1.DCM"] {
            assert_ne!(name_of(Path::new(other)), one, "{other}");
        }
    }

    #[test]
    fn a_name_that_leads_out_is_no_place() {
        assert_eq!(place("IMAGES\\IM1"), Some("IMAGES/IM1".into()));
        assert_eq!(place(".\\IMAGES \\IM1"), Some("IMAGES/IM1".into()));
        for out in ["..\\IM1", "IMAGES\\..\\..\\IM1", "\\IM1", "/etc/passwd", "C:\\IM1", "A\\\\B", "..", "../IM1"] {
            assert_eq!(place(out), None, "{out}");
        }
    }
}
