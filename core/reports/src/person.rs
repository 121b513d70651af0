//! Who a report names, held against who a study is about. The comparison is the one that images are held against each other with
//! ([`Patient::differences_by_name`]); here only which of the names and ids of a report are held against the study.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::facts::{Patient, PatientDifference, shown};
use clavicle_dicom::rewrite::Sex;
use clavicle_manifest::Date;

/// Whom a report says that it is about. A person has several ids and several names; one that is the study's is enough.
#[derive(Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Person {
    /// Ids.
    pub ids: Vec<Id>,
    /// Names, each as DICOM writes it, without what goes before and after a name: `Rossi^Ana^Maria`.
    pub names: Vec<String>,
    /// Date of birth.
    pub birth_date: Option<Date>,
    /// M, F or O.
    pub sex: Option<String>,
}

/// An id, and whose it is.
#[derive(Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Id {
    /// As it is written.
    pub id: String,
    /// Who gave it, as people write it: what DICOM has in Issuer of Patient ID.
    pub issuer: String,
    /// The same as machines write it: an OID or a URI. A study that says `mercy` and a report that says `urn:oid:1.2.3` say nothing of each other.
    pub system: String,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Person(…)")
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Id(…)")
    }
}

/// What came of holding a person against a study.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// In what they contradict each other.
    pub differences: Vec<PatientDifference>,
    /// Whether both say who it is: an id, or a name. A date of birth or a sex alone tells nobody apart.
    pub is_told: bool,
}

impl Person {
    /// Holds it against who a study is about, and of what sex the images say that they are.
    #[must_use]
    pub fn against(&self, study: &Patient, sex: Option<Sex>) -> Held {
        let id = self.nearest_id(study);
        let told = Patient { id: shown(&id.id), issuer: issuer_of(&id, study), ..Patient::default() };
        let mut differences = study.differences_by_name(&told);
        let has_ids = is_said(&id.id) && is_said(study.id.as_str());
        let mut is_told = has_ids;
        let of_study = Patient { name: shown(without_titles(study.name.as_str())), ..Patient::default() };
        let name = |name: &str| Patient { name: shown(name), ..Patient::default() };
        let names: Vec<String> = self.names.iter().map(|name| without_titles(name)).collect();
        let groups = names.iter().flat_map(|name| [name.clone(), format!("={name}"), format!("=={name}")]);
        // The other scripts of a name stand in the other groups: one that is in no common group says nothing.
        let named: Vec<(bool, Patient)> =
            groups.map(|one| name(&one)).filter_map(|one| Some((of_study.is_named_like(&one)?, one))).collect();
        if !named.is_empty() {
            is_told = true;
            if !named.iter().any(|(same, _)| *same)
                && let Some((_, told)) = named.first()
            {
                differences.extend(of_study.differences_by_name(told));
            }
        }
        let born = |date| Patient { birth_date: date, ..Patient::default() };
        differences.extend(born(study.birth_date).differences_by_name(&born(self.birth_date)));
        if let (Some(one), Some(other)) = (sex, self.sex.as_deref().and_then(Sex::of_term))
            && one != other
        {
            let (one, other) = (one.term().to_owned(), other.term().to_owned());
            differences.push(PatientDifference { what: "Patient's Sex", one, other });
        }
        Held { differences, is_told }
    }

    /// Of its ids the one that is the study's, if there is one; or else one of whom gave the study's.
    fn nearest_id(&self, study: &Patient) -> Id {
        let score = |id: &&Id| {
            let is_same = id.id.trim() == study.id.as_str();
            let is_of_issuer = issuer_of(id, study) == study.issuer && is_said(study.issuer.as_str());
            (is_same && is_of_issuer, is_same, is_of_issuer)
        };
        // The first of those that are as near.
        self.ids.iter().rev().max_by_key(score).cloned().unwrap_or_default()
    }
}

/// Who gave an id, as far as it can be held against who gave the study's.
fn issuer_of(id: &Id, study: &Patient) -> clavicle_ledger::encoding::Text<256> {
    let issuer = study.issuer.as_str();
    let system = id.system.trim().trim_start_matches("urn:oid:");
    let is = |one: &str| is_said(one) && one.trim().eq_ignore_ascii_case(issuer);
    if is(&id.issuer) || is(&id.system) || is(system) { study.issuer.clone() } else { shown(&id.issuer) }
}

fn is_said(text: &str) -> bool {
    !text.trim().is_empty()
}

/// A name without what goes before and after it, and with all given names in one: titles are written in many ways and tell nobody apart, and where a
/// given name ends, every program has its own opinion.
fn without_titles(name: &str) -> String {
    let group = |group: &str| {
        let parts: Vec<&str> = group.split('^').map(str::trim).collect();
        let given: Vec<&str> = parts.iter().skip(1).take(2).copied().filter(|part| !part.is_empty()).collect();
        [parts.first().copied().unwrap_or_default(), &given.join(" ")].join("^").trim_end_matches('^').to_owned()
    };
    name.split('=').map(group).collect::<Vec<_>>().join("=")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use clavicle_ledger::encoding::Text;

    use super::*;

    fn text(text: &str) -> Text<256> {
        Text::new(text).unwrap()
    }

    fn study() -> Patient {
        Patient {
            id: text("4711"),
            issuer: text("mercy"),
            name: text("Rossi^Ana^^Dr"),
            birth_date: Date::new(1953, 1, 17),
        }
    }

    fn ana() -> Person {
        let id = Id { id: "4711".into(), issuer: "MERCY".into(), system: "1.2.3".into() };
        let other = Id { id: "900".into(), issuer: "national".into(), system: String::new() };
        Person {
            ids: vec![other, id],
            names: vec!["Bianchi^Ana".into(), "ROSSI^ANA^".into()],
            birth_date: Date::new(1953, 1, 17),
            sex: Some("F".into()),
        }
    }

    fn said(person: &Person) -> (Vec<String>, bool) {
        let held = person.against(&study(), Some(Sex::Female));
        (held.differences.iter().map(ToString::to_string).collect(), held.is_told)
    }

    #[test]
    fn one_of_several_ids_and_names_is_enough() {
        assert_eq!(said(&ana()), (vec![], true));
        // Where a given name ends, every program has its own opinion.
        let two = Patient { name: text("Rossi^Ana Maria"), ..study() };
        let maria = Person { names: vec!["ROSSI^ANA^MARIA".into()], ..Person::default() };
        assert_eq!(maria.against(&two, None), Held { differences: vec![], is_told: true });
        // Who gave an id, as machines write it, says nothing of how people do.
        let mut machine = ana();
        machine.ids = vec![Id { id: "4711".into(), issuer: String::new(), system: "urn:oid:1.2.3".into() }];
        assert_eq!(said(&machine), (vec![], true));
    }

    #[test]
    fn each_difference_is_named_with_both_values() {
        let is = |edit: fn(&mut Person), what: &str| {
            let mut person = ana();
            edit(&mut person);
            let (differences, _) = said(&person);
            assert_eq!(differences, [what]);
        };
        is(|one| one.ids[1].id = "4712".into(), "Patient ID is “4711” in one and “4712” in another");
        is(|one| one.ids[1].issuer = "stluke".into(), "Issuer of Patient ID is “mercy” in one and “stluke” in another");
        is(
            |one| one.names = vec!["Smith^Bob".into()],
            "Patient's Name is “Rossi^Ana” in one and “Smith^Bob” in another",
        );
        is(
            |one| one.birth_date = Date::new(1953, 1, 18),
            "Patient's Birth Date is “1953-01-17” in one and “1953-01-18” in another",
        );
        is(|one| one.sex = Some("M".into()), "Patient's Sex is “F” in one and “M” in another");
    }

    #[test]
    fn who_is_told_by_an_id_or_a_name() {
        let (differences, is_told) = said(&Person { birth_date: Date::new(1953, 1, 17), ..Person::default() });
        assert_eq!((differences.len(), is_told), (0, false));
        assert!(said(&Person { names: vec!["rossi^ana".into()], ..Person::default() }).1);
        assert!(said(&Person { ids: ana().ids, ..Person::default() }).1);
        assert!(!Person::default().against(&study(), None).is_told);
        assert!(!ana().against(&Patient::default(), None).is_told, "the study names nobody");
    }

    #[test]
    fn a_name_in_another_script_is_looked_for_in_its_group() {
        let taro = Patient { name: text("Yamada^Tarou=山田^太郎"), ..Patient::default() };
        let named = |name: &str| Person { names: vec![name.into()], ..Person::default() }.against(&taro, None);
        assert_eq!(named("山田^太郎"), Held { differences: vec![], is_told: true });
        assert_eq!(named("YAMADA^TAROU"), Held { differences: vec![], is_told: true });
        assert_eq!(named("佐藤^花子").differences.len(), 1);
    }
}
