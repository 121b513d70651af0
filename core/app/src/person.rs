//! Whose wallet it is.

/// Whose wallet it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Person {
    /// A patient's.
    #[default]
    Patient,
    /// A recipient's.
    Recipient,
}
