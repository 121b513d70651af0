//! What a line of the log may say of a file and of a reason: no UID. A name is a file's alone, since folders are called after patients.

use std::path::Path;

/// A file's name, without what looks like a UID.
pub(crate) fn file_name(path: &Path) -> String {
    without_uids(&path.file_name().unwrap_or_default().to_string_lossy())
}

/// A text, without what looks like a UID: digits and points that begin with a root of ISO's (0, 1 or 2) and have two points at least.
pub(crate) fn without_uids(text: &str) -> String {
    let is_of_uid = |at: char| at.is_ascii_digit() || at == '.';
    let (mut out, mut rest) = (String::new(), text);
    while let Some(begin) = rest.find(|at: char| at.is_ascii_digit()) {
        let run = rest[begin..].split(|at| !is_of_uid(at)).next().unwrap_or_default().trim_end_matches('.');
        out.push_str(&rest[..begin]);
        let is_uid = ["0.", "1.", "2."].iter().any(|root| run.starts_with(root)) && run.matches('.').count() > 1;
        out.push_str(if is_uid { "…" } else { run });
        rest = &rest[begin + run.len()..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_left_out_and_nothing_else() {
        for (said, logged) in [
            ("1.2.840.113619.2.55.3.dcm", "….dcm"),
            ("CT.1.2.840.10008.5", "CT.…"),
            ("study 1.2.3.4 is in the archive", "study … is in the archive"),
            ("IM000001.dcm", "IM000001.dcm"),
            ("(0020,000D) is missing", "(0020,000D) is missing"),
            ("30.5 MB of 4.2.", "30.5 MB of 4.2."),
            ("ends with 2.25.1.", "ends with …."),
            ("", ""),
            ("Präsentation-1.2", "Präsentation-1.2"),
        ] {
            assert_eq!(without_uids(said), logged);
        }
        assert_eq!(file_name(Path::new("/srv/DOE_JANE/IM-1")), "IM-1");
    }
}
