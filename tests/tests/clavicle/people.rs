//! What people do most of the time: take hold of a study, show a card, grant, fetch.

use serde_json::Value;

use crate::cluster::{Cluster, HOSPITALS};

/// The PIN of every pickup.
pub(crate) const PIN: &str = "4711";

impl Cluster {
    /// A new patient's wallet.
    pub(crate) fn patient(&self, name: &str) {
        self.person(&["wallet", "init", "--dir", name, "--network", "network.json"]);
    }

    /// A new recipient's wallet.
    pub(crate) fn recipient(&self, name: &str) {
        self.person(&[
            "recipient",
            "init",
            "--dir",
            name,
            "--network",
            "network.json",
            "--name",
            &format!("Dr {name}"),
        ]);
    }

    /// Takes a folder that holds one study into the archive of hospital `n`, and gives the study's id.
    #[track_caller]
    pub(crate) fn ingest(&self, n: usize, files: &str) -> String {
        let taken = self.hospital(&["ingest", "--dir", HOSPITALS[n], files]);
        assert_eq!(taken["studies"].as_array().unwrap().len(), 1, "{taken}");
        text(&taken["studies"][0])
    }

    /// A code for a study at hospital `n`.
    #[track_caller]
    pub(crate) fn issue(&self, n: usize, study: &str) -> String {
        text(&self.hospital(&["pickup", "--dir", HOSPITALS[n], "--study", study, "--pin", PIN])["code"])
    }

    /// A patient takes hold of a study at hospital `n`.
    #[track_caller]
    pub(crate) fn pick_up(&self, n: usize, study: &str, patient: &str) {
        let code = self.issue(n, study);
        let picked_up = self.person(&["wallet", "pickup", "--dir", patient, &code, "--pin", PIN]);
        assert_eq!(picked_up["studies"][0]["study"], study, "{picked_up}");
        assert!(picked_up["studies"][0]["final_at"].is_u64(), "{picked_up}");
    }

    /// A recipient's card, as text.
    #[track_caller]
    pub(crate) fn card(&self, recipient: &str) -> String {
        text(&self.person(&["recipient", "card", "--dir", recipient])["code"])
    }

    /// A patient grants a study to a card for a week; the grant's id.
    #[track_caller]
    pub(crate) fn grant(&self, patient: &str, study: &str, card: &str) -> String {
        text(&self.person(&["wallet", "grant", "--dir", patient, study, "--to", card, "--for", "7d"])["grant"])
    }
}

/// The text in an answer.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
