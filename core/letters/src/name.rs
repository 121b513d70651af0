//! Names as they are shown to people who must not be fooled by them.
//!
//! A name is whatever its owner likes. It stands between “ and ”, and nothing in it can end that or draw over what stands beside it; what does not
//! show, or shows as something else, is written by its number. That a name looks like another cannot be prevented, and is said.

use std::fmt::Write as _;

use unicode_script::{Script, UnicodeScript as _};
use unicode_security::{MixedScript as _, RestrictionLevel, RestrictionLevelDetection as _, skeleton};

/// What is wrong with a name, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameDoubt {
    /// A word of letters that do not belong together (UTS 39, §5.2).
    #[error("careful: a word of this name mixes letters of different alphabets, to look like another name")]
    Mixed,
    /// A word that looks like one of Latin letters (UTS 39, §4).
    #[error("careful: a word of this name is not written in the letters that it seems to be written in")]
    Disguised,
}

/// The name between “ and ”, in one line and in the order in which it is read, whatever is in it.
#[must_use]
pub fn quoted(name: &str) -> String {
    let mut shown = String::with_capacity(name.len().saturating_add(8));
    shown.push('“');
    for c in name.chars() {
        if is_plain(c) {
            shown.push(c);
        } else {
            // Memory takes what is written.
            write!(shown, "\\u{{{:x}}}", u32::from(c)).ok();
        }
    }
    shown.push('”');
    shown
}

/// Whether a character shows, as itself, and is no quotation mark or bracket of ours.
fn is_plain(c: char) -> bool {
    let is_quote = matches!(c, '"' | '\\' | '«' | '»' | '‹' | '›' | '\u{2018}'..='\u{201f}' | '\u{2033}' | '\u{2036}' | '\u{301d}'..='\u{301f}' | '\u{ff02}')
            // The one that stands in names.
            && c != '\u{2019}';
    let is_space = c.is_whitespace() && c != ' ';
    // What is outside of every script and no mark, number or sign of a name: controls, directions, tags, private use.
    let is_hidden = c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}')
        || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}' | '\u{e000}'..='\u{f8ff}')
        || u32::from(c) >= 0xe_0000;
    !is_quote && !is_space && !is_hidden
}

/// What is to be said of a name besides, if anything.
#[must_use]
pub fn doubt(name: &str) -> Option<NameDoubt> {
    // An apostrophe or a hyphen ends a word, whichever it is; what stands above or below a letter does not.
    let words = name.split(|c: char| !c.is_alphanumeric() && c.script() != Script::Inherited);
    words.filter(|word| !word.is_ascii()).find_map(|word| {
        // Some scripts go together, and letters that are rarely used are no doubt of their own.
        if !word.is_single_script() && word.detect_restriction_level() > RestrictionLevel::HighlyRestrictive {
            return Some(NameDoubt::Mixed);
        }
        let is_latin = word.chars().any(|c| c.script() == Script::Latin);
        let seems_latin = skeleton(word).all(|c| c.is_ascii_alphabetic());
        (!is_latin && seems_latin).then_some(NameDoubt::Disguised)
    })
}

/// Whether two names are the same to somebody who reads them.
#[must_use]
pub fn look_alike(one: &str, other: &str) -> bool {
    looks(one) == looks(other)
}

/// What a reader takes a name for: no case, no titles' points, one space where there are several.
fn looks(name: &str) -> String {
    let lower = name.to_lowercase();
    let words: Vec<String> = lower
        .split(|c: char| c.is_whitespace() || c.is_ascii_punctuation())
        .filter(|word| !word.is_empty())
        .map(|word| skeleton(word).filter(|c| !c.is_whitespace()).collect())
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_quotation_marks() {
        assert_eq!(quoted("Dr Rossi"), "“Dr Rossi”");
        assert_eq!(quoted("O’Brien-Müller, 山田"), "“O’Brien-Müller, 山田”");
        for hidden in [
            "\u{202e}",
            "\u{200b}",
            "\n",
            "\u{1b}[2J",
            "\r",
            "\t",
            "”",
            "“",
            "\"",
            "\\",
            "\u{2066}",
            "\u{a0}",
            "\u{e0041}",
        ] {
            let shown = quoted(&format!("Rossi{hidden} (verified by Mercy)"));
            assert!(shown.contains("\\u{") && shown.ends_with('”'), "{shown}");
            assert_eq!(shown.chars().filter(|c| matches!(c, '“' | '”')).count(), 2, "{shown}");
            assert!(shown.chars().all(|c| !c.is_control()), "{shown}");
        }
        assert_eq!(quoted("a”b"), "“a\\u{201d}b”");
    }

    #[test]
    fn names_of_the_world_are_no_doubt_and_disguises_are() {
        for name in [
            "Dr Rossi",
            "Dr. Müller-Lüdenscheid",
            "Yıldız",
            "山田 太郎",
            "Dr Иванова",
            "Ζωή",
            "김민준",
            "محمد",
            "Łukasz",
            "O’Brien",
            "D’Àngelo",
            "Jose\u{301}",
            "Ana",
        ] {
            assert_eq!(doubt(name), None, "{name}");
        }
        // Cyrillic о in a Latin word; a word all of Cyrillic letters that look Latin.
        assert_eq!(doubt("Dr R\u{43e}ssi"), Some(NameDoubt::Mixed));
        assert_eq!(doubt("Dr \u{430}\u{440}\u{435}"), Some(NameDoubt::Disguised));
    }

    #[test]
    fn names_that_look_alike_are_found() {
        assert!(look_alike("Dr Rossi", "dr.  ROSSI"));
        assert!(look_alike("Dr Rossi", "Dr R\u{43e}ssi"));
        assert!(!look_alike("Dr Rossi", "Dr Russo"));
    }
}
