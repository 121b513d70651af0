//! Text that shows, and does nothing to a terminal.

/// Most characters of a report that are shown.
pub const MAX_TEXT: usize = 64 * 1024;

/// The text without what would do something to a terminal, or turn the direction of what follows; lines end in one way. As much of it as is shown, and
/// whether that is all.
#[must_use]
pub fn printable(text: &str) -> (String, bool) {
    let mut shown = String::new();
    let mut chars = text.chars().peekable();
    while let Some(one) = chars.next() {
        if shown.len() >= MAX_TEXT {
            return (shown, false);
        }
        match one {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\r' | '\u{2028}' | '\u{2029}' => shown.push('\n'),
            '\t' => shown.push(' '),
            _ if one.is_control() => {}
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            _ => shown.push(one),
        }
    }
    shown.truncate(shown.trim_end().len());
    (shown, true)
}

/// The same in one line.
#[must_use]
pub fn line(text: &str) -> String {
    let (shown, _) = printable(text);
    let words: Vec<&str> = shown.split_whitespace().collect();
    words.join(" ")
}

/// A name (PN) as people read it, the family's first: `Rossi, Ana`. Of its groups the first that is not empty.
#[must_use]
pub fn person_name(name: &str) -> String {
    let name = line(name);
    let group = name.split('=').map(|group| group.trim_matches(['^', ' '])).find(|group| !group.is_empty());
    let mut parts = group.unwrap_or_default().split('^').map(str::trim).filter(|part| !part.is_empty());
    let family = parts.next().unwrap_or_default().to_owned();
    let given: Vec<&str> = parts.collect();
    if given.is_empty() { family } else { format!("{family}, {}", given.join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_does_something_to_a_terminal_is_left() {
        assert_eq!(printable("a\u{1b}[31mb\r\nc\rd\u{202e}e\t f \n\n"), ("a[31mb\nc\nde  f".to_owned(), true));
        assert_eq!(line(" CT\n chest\u{7} "), "CT chest");
        assert_eq!(person_name("Rossi^Ana^^Dr=x"), "Rossi, Ana Dr");
        assert_eq!(
            (person_name("=山田^太郎"), person_name("Rossi"), person_name("^^=")),
            ("山田, 太郎".into(), "Rossi".into(), String::new())
        );
        let (shown, all) = printable(&"ü".repeat(MAX_TEXT));
        assert!(!all && shown.len() <= MAX_TEXT + 1);
    }
}
