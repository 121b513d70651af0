//! Who is silent where too few answer.

use std::fmt;

/// Who does not answer, while a transaction waits for so many that nothing can become final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// The hospitals that do not answer, by their names, those with the most votes first.
    pub silent: Vec<String>,
    /// How many of them must answer, at least, until the network can confirm.
    pub needed: usize,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { silent, needed } = self;
        let (who, more) = (listed(silent), if *needed == 1 { "hospital answers" } else { "hospitals answer" });
        let verb = if silent.len() == 1 { "does" } else { "do" };
        write!(f, "{who} {verb} not answer; the network will confirm when {needed} more {more}")
    }
}

/// Names as they are read out: the first of them, and how many more.
fn listed(names: &[String]) -> String {
    const MOST: usize = 5;
    match names {
        [] => "nobody".to_owned(),
        [one] => one.clone(),
        [before @ .., last] if names.len() <= MOST => format!("{} and {last}", before.join(", ")),
        _ => format!("{} and {} more", names[..MOST].join(", "), names.len() - MOST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_answer_is_said_by_name_and_how_many_more_it_takes() {
        let said = |silent: &[&str], needed| {
            Silence { silent: silent.iter().map(|name| (*name).to_owned()).collect(), needed }.to_string()
        };
        assert_eq!(said(&["Mercy"], 1), "Mercy does not answer; the network will confirm when 1 more hospital answers");
        assert_eq!(
            said(&["Mercy", "North", "Harbor"], 2),
            "Mercy, North and Harbor do not answer; the network will confirm when 2 more hospitals answer"
        );
        let many = said(&["a", "b", "c", "d", "e", "f", "g"], 3);
        assert!(many.starts_with("a, b, c, d, e and 2 more do not answer; "), "{many}");
    }
}
