//! The catalogue of sentences: whole in every language, with nothing that nobody says, and in words that people know.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clavicle_mobile_state::{LANGUAGES, keys};

/// What the shells say themselves: that there is a code, and for how long something is.
const OF_SHELLS: [(&str, &[(&str, &str)]); 4] = [
    ("code.spoken", &[]),
    ("span.days", &[("count", "count")]),
    ("span.hours", &[("count", "count")]),
    ("span.minutes", &[("count", "count")]),
];

/// Words of ours that a patient need not know.
const UNKNOWN: [&str; 24] = [
    "key",
    "keys",
    "node",
    "nodes",
    "peer",
    "peers",
    "ledger",
    "hash",
    "token",
    "grant",
    "grants",
    "wallet",
    "vault",
    "relay",
    "certificate",
    "encrypted",
    "schlüssel",
    "knoten",
    "zertifikat",
    "verschlüsselt",
    "hinterlegt",
    "berechtigung",
    "authentifizierung",
    "authentication",
];

fn strings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../strings")
}

fn catalogue(language: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(strings().join(format!("{language}.json"))).unwrap();
    let catalogue: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    let sorted = format!("{}\n", serde_json::to_string_pretty(&catalogue).unwrap());
    assert!(sorted == text, "{language}.json is sorted by key, each once, two blanks in");
    catalogue
}

/// Every key that is said, with what may stand in it.
fn said() -> BTreeMap<String, BTreeMap<String, &'static str>> {
    let of_shells = OF_SHELLS.iter().map(|(key, arguments)| {
        ((*key).to_owned(), arguments.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect())
    });
    keys().into_iter().chain(of_shells).collect()
}

/// The forms of a plural, each by its name.
type Forms = Vec<(String, String)>;

/// What a pattern has in brackets: the name, and the forms of a plural if it is one.
fn holes(pattern: &str) -> Vec<(String, Option<Forms>)> {
    let (mut holes, mut depth, mut from) = (Vec::new(), 0usize, 0usize);
    for (at, c) in pattern.char_indices() {
        match c {
            '{' => {
                if depth == 0 {
                    from = at + 1;
                }
                depth += 1;
            }
            '}' => {
                depth = depth.checked_sub(1).unwrap_or_else(|| panic!("closed too often: {pattern}"));
                if depth == 0 {
                    holes.push(hole(&pattern[from..at]));
                }
            }
            _ => {}
        }
    }
    assert_eq!(depth, 0, "not closed: {pattern}");
    holes
}

fn hole(inside: &str) -> (String, Option<Forms>) {
    let mut parts = inside.splitn(3, ',').map(str::trim);
    let (name, kind, mut rest) = (parts.next().unwrap(), parts.next(), parts.next().unwrap_or_default());
    let Some(kind) = kind else { return (name.to_owned(), None) };
    assert_eq!(kind, "plural", "{inside}");
    let mut forms = Vec::new();
    while let Some((form, after)) = rest.split_once('{') {
        let mut depth = 1usize;
        let end = after.find(|c| {
            depth = match c {
                '{' => depth + 1,
                '}' => depth - 1,
                _ => depth,
            };
            depth == 0
        });
        let end = end.unwrap_or_else(|| panic!("not closed: {inside}"));
        forms.push((form.trim().to_owned(), after[..end].to_owned()));
        rest = &after[end + 1..];
    }
    (name.to_owned(), Some(forms))
}

/// Every hole of a pattern, also those in the forms of a plural.
fn all_holes(pattern: &str) -> BTreeSet<(String, bool)> {
    let mut all = BTreeSet::new();
    for (name, forms) in holes(pattern) {
        for (_, form) in forms.iter().flatten() {
            all.extend(all_holes(form));
        }
        all.insert((name, forms.is_some()));
    }
    all
}

/// What is read of a pattern: each form of each plural in its turn, the number of it as a digit, and a word where something is filled in.
fn readings(pattern: &str) -> Vec<String> {
    let most = holes(pattern).iter().map(|(_, forms)| forms.as_ref().map_or(1, Vec::len)).max().unwrap_or(1);
    (0..most).map(|at| reading(pattern, at)).collect()
}

fn reading(pattern: &str, at: usize) -> String {
    let (mut text, mut rest) = (String::new(), pattern);
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        let mut depth = 0i32;
        let end = rest[open..].find(|c| {
            depth += match c {
                '{' => 1,
                '}' => -1,
                _ => 0,
            };
            depth == 0
        });
        let end = open + end.unwrap();
        match hole(&rest[open + 1..end]) {
            (_, None) => text.push_str("word"),
            (_, Some(forms)) => text.push_str(&reading(&forms[at.min(forms.len() - 1)].1, at).replace('#', "3")),
        }
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
    text
}

#[test]
fn every_language_says_all_that_is_said_and_nothing_else() {
    let said = said();
    let due: BTreeSet<&String> = said.keys().collect();
    for language in LANGUAGES {
        let catalogue = catalogue(language);
        let has: BTreeSet<&String> = catalogue.keys().collect();
        assert_eq!(due.difference(&has).collect::<Vec<_>>(), Vec::<&&String>::new(), "{language} does not say these");
        assert_eq!(
            has.difference(&due).collect::<Vec<_>>(),
            Vec::<&&String>::new(),
            "nobody asks {language} for these"
        );
    }
    let mut files: Vec<String> = fs::read_dir(strings())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect();
    files.sort();
    let mut languages: Vec<String> = LANGUAGES.iter().map(|language| (*language).to_owned()).collect();
    languages.sort();
    assert_eq!(files, languages, "a file is a language, and a language a file");
}

#[test]
fn every_sentence_has_only_what_it_is_given_and_each_plural_its_last_form() {
    let said = said();
    let english = catalogue("en");
    for language in LANGUAGES {
        for (key, pattern) in catalogue(language) {
            let Some(given) = said.get(&key) else { continue };
            let holes = all_holes(&pattern);
            for (name, is_plural) in &holes {
                let kind = given.get(name).unwrap_or_else(|| panic!("{language} {key}: nobody gives it {name}"));
                assert!(!is_plural || *kind == "count", "{language} {key}: {name} is no number");
            }
            let names =
                |holes: BTreeSet<(String, bool)>| holes.into_iter().map(|(name, _)| name).collect::<BTreeSet<_>>();
            let theirs = names(all_holes(&english[&key]));
            assert_eq!(names(holes), theirs, "{language} {key} says something else than English");
            for (name, forms) in self::holes(&pattern) {
                if let Some(forms) = forms {
                    assert!(forms.iter().any(|(form, _)| form == "other"), "{language} {key}: {name} has no last form");
                    let known = |form: &str| {
                        matches!(form, "one" | "other")
                            || form.strip_prefix('=').is_some_and(|n| n.parse::<u64>().is_ok())
                    };
                    assert!(forms.iter().all(|(form, _)| known(form)), "{language} {key}: {forms:?}");
                }
            }
            assert!(!pattern.contains('\''), "{language} {key}: in a pattern ' is a sign of its own; write ’");
            assert!(!pattern.is_empty() && pattern.trim() == pattern && !pattern.contains("  "), "{language} {key}");
        }
    }
}

/// No word that has to be explained; sentences that an eleven-year-old reads without stopping.
#[test]
fn what_people_read_is_short_and_in_words_they_know() {
    for language in LANGUAGES {
        let (mut words, mut sentences) = (0usize, 0usize);
        for (key, pattern) in catalogue(language) {
            for text in readings(&pattern) {
                let lower = text.to_lowercase();
                let mut each =
                    lower.split(|c: char| !c.is_alphanumeric() && c != '’' && c != '-').filter(|word| !word.is_empty());
                assert!(each.all(|word| !UNKNOWN.contains(&word)), "{language} {key}: {text}");
                for sentence in text.split(['.', '?', '!', ':']).map(str::trim).filter(|sentence| !sentence.is_empty())
                {
                    let count = sentence.split_whitespace().count();
                    assert!(count <= 25, "{language} {key} has {count} words in a sentence: {sentence}");
                    (words, sentences) = (words + count, sentences + 1);
                }
            }
            let is_title = key.ends_with(".title");
            assert!(
                !is_title || pattern.chars().count() <= 60 || pattern.contains('{'),
                "{language} {key}: a title is short"
            );
        }
        assert!(words <= 9 * sentences, "{language}: {words} words in {sentences} sentences");
    }
}
