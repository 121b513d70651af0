//! Who a study is about, as people see it: what its hospital calls the patient.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::{Text, Wire};
use clavicle_manifest::Date;

/// Who a study is about. For the screen of whoever may see its images, and for no log: what it prints with `{}` names the patient, what it prints
/// with `{:?}` does not.
#[derive(Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct About {
    /// Patient's Name (0010,0010), as it is written: components separated by `^`, groups by `=`. Empty when the images name nobody.
    pub name: Text<256>,
    /// Patient's Birth Date (0010,0030).
    pub birth_date: Option<Date>,
}

impl About {
    /// Whether it says anything.
    #[must_use]
    pub fn is_said(&self) -> bool {
        self.birth_date.is_some() || !self.name.as_str().trim_matches(['^', '=', ' ']).is_empty()
    }
}

/// A name (PN) as people read it, the family's first: `Rossi, Ana`. Of its groups the first that is not empty.
#[must_use]
pub fn readable(name: &str) -> String {
    let mut groups = name.split('=').map(|group| group.trim_matches(['^', ' ']));
    let Some(group) = groups.find(|group| !group.is_empty()) else { return "nobody by name".to_owned() };
    let (family, given) = group.split_once('^').unwrap_or((group, ""));
    let given: Vec<&str> = given.split('^').map(str::trim).filter(|part| !part.is_empty()).collect();
    if given.is_empty() { family.trim().to_owned() } else { format!("{}, {}", family.trim(), given.join(" ")) }
}

impl fmt::Display for About {
    /// `Rossi, Ana, born 1953-01-17`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&readable(self.name.as_str()))?;
        self.birth_date.map_or(Ok(()), |date| write!(f, ", born {date}"))
    }
}

impl fmt::Debug for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("About(…)")
    }
}

impl Wire for About {
    const NAME: &'static str = "who a study is about";
    const MAX_LEN: usize = 4 + 256 + 1 + 4;
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_said_as_people_read_it() {
        let said = |name: &str, birth_date| About { name: Text::new(name).unwrap(), birth_date }.to_string();
        assert_eq!(said("Rossi^Ana^Maria^Dr", Date::new(1953, 1, 17)), "Rossi, Ana Maria Dr, born 1953-01-17");
        assert_eq!(said("ROSSI^ANA^^", None), "ROSSI, ANA");
        assert_eq!(said("=山田^太郎", None), "山田, 太郎");
        assert_eq!(said("PHANTOM", None), "PHANTOM");
        assert_eq!(said("^^", Date::new(1953, 1, 17)), "nobody by name, born 1953-01-17");
        assert!(!About { name: Text::new("^^=").unwrap(), birth_date: None }.is_said());
        let about = About { name: Text::new("Rossi^Ana").unwrap(), birth_date: None };
        assert!(about.is_said() && format!("{about:?}") == "About(…)");
    }
}
