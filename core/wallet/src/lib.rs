//! Keys, vault, codes and consent: what a patient or a recipient holds.
