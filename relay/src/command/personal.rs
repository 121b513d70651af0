//! What nobody else on the machine is to read: whose a visit was, and the PIN for it.

use clavicle_command::given::Kind;

/// The number of a visit.
#[derive(Debug)]
pub enum AccessionKind {}

impl Kind for AccessionKind {
    const ARGUMENT: Option<&'static str> = Some("accession");
    const FILE: &'static str = "accession-file";
    const FD: &'static str = "accession-fd";
    const WHAT: &'static str = "the Accession Number";
    const HELP: &'static str = "For the studies with this Accession Number";
    const GROUP: Option<&'static str> = Some("visit");
}

/// Whose the studies are.
#[derive(Debug)]
pub enum PatientKind {}

impl Kind for PatientKind {
    const ARGUMENT: Option<&'static str> = Some("patient");
    const FILE: &'static str = "patient-file";
    const FD: &'static str = "patient-fd";
    const WHAT: &'static str = "the Patient ID";
    const HELP: &'static str = "For the studies of the patient with this Patient ID";
    const GROUP: Option<&'static str> = Some("visit");
}

/// What whoever comes with the code is asked for.
#[derive(Debug)]
pub enum PinKind {}

impl Kind for PinKind {
    const ARGUMENT: Option<&'static str> = Some("pin");
    const FILE: &'static str = "pin-file";
    const FD: &'static str = "pin-fd";
    const WHAT: &'static str = "the PIN";
    const HELP: &'static str =
        "The PIN to ask for, told to the patient apart from the code; without it the date of birth is asked for";
}
