//! Names as they are shown to people who must not be fooled by them.
//!
//! A name is whatever its owner likes. It stands between “ and ”, and nothing in it can end that or draw over what
//! stands beside it; what does not show, or shows as something else, is written by its number. That a name looks like
//! another cannot be prevented, and is said.

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
    // A mark is drawn over what stands before it, and that must be a character of the name.
    let mut has_base = false;
    for c in name.chars() {
        let is_shown = is_plain(c) && (has_base || !is_mark(c));
        if is_shown {
            shown.push(c);
        } else {
            // Memory takes what is written.
            write!(shown, "\\u{{{:x}}}", u32::from(c)).ok();
        }
        has_base = is_shown;
    }
    shown.push('”');
    shown
}

/// Whether a character shows, as itself, and is no quotation mark or bracket of ours.
fn is_plain(c: char) -> bool {
    let is_quote = matches!(c, '"' | '\\' | '«' | '»' | '‹' | '›' | '\u{2018}'..='\u{201f}' | '\u{2033}' | '\u{2036}' | '\u{301d}'..='\u{301f}' | '\u{ff02}')
            // The one that stands in names.
            && c != '\u{2019}'
        // What only looks like one: letters, ornaments, and the ditto mark.
        || matches!(c, '\u{2ba}' | '\u{2ee}' | '\u{275b}'..='\u{2760}' | '\u{276e}'..='\u{276f}' | '\u{2e42}' | '\u{3003}')
        || matches!(c, '\u{1f676}'..='\u{1f678}');
    let is_space = c.is_whitespace() && c != ' ';
    // What is outside of every script and no mark, number or sign of a name: controls, directions, tags, private use.
    let is_hidden = c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}')
        || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}' | '\u{e000}'..='\u{f8ff}')
        || u32::from(c) >= 0xe_0000;
    !is_quote && !is_space && !is_hidden
}

/// Whether a character is drawn over another: the marks of no script of their own, and those of scripts whose marks are
/// drawn without a letter too.
fn is_mark(c: char) -> bool {
    // Cyrillic, Hebrew and Arabic.
    let is_of_a_script = matches!(c, '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}'..='\u{5c2}' | '\u{5c4}'..='\u{5c5}')
        || matches!(c, '\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e4}')
        || matches!(c, '\u{6e7}'..='\u{6e8}' | '\u{6ea}'..='\u{6ed}')
        // Thai and Lao.
        || matches!(c, '\u{e31}' | '\u{e34}'..='\u{e3a}' | '\u{e47}'..='\u{e4e}' | '\u{eb1}' | '\u{eb4}'..='\u{ebc}' | '\u{ec8}'..='\u{ece}')
        // Tones of Han and Hangul, and the halves of marks.
        || matches!(c, '\u{302a}'..='\u{302f}' | '\u{fe20}'..='\u{fe2f}');
    is_of_a_script || c.script() == Script::Inherited
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
    fn what_looks_like_a_quotation_mark_is_written_by_its_number() {
        for like in "\u{2ba}\u{2ee}\u{275b}\u{275c}\u{275d}\u{275e}\u{275f}\u{2760}\u{276e}\u{276f}\u{2e42}\u{3003}\u{1f676}\u{1f677}\u{1f678}".chars() {
            assert_eq!(quoted(&format!("a{like}b")), format!("“a\\u{{{:x}}}b”", u32::from(like)));
        }
    }

    #[test]
    fn a_mark_stands_on_a_character_of_the_name() {
        assert_eq!(quoted("Jose\u{301}"), "“Jose\u{301}”");
        assert_eq!(quoted("e\u{323}\u{301}"), "“e\u{323}\u{301}”");
        assert_eq!(quoted("\u{338}Rossi"), "“\\u{338}Rossi”");
        assert_eq!(quoted("\u{338}\u{301}Rossi"), "“\\u{338}\\u{301}Rossi”");
        assert_eq!(quoted("\u{5b4}a"), "“\\u{5b4}a”");
        assert_eq!(quoted("a\u{200b}\u{301}b"), "“a\\u{200b}\\u{301}b”");
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
