//! The units of the DICOM upper layer (PS3.8 §9.3): their types, and those that reject, release and abort.
//!
//! Data units are not here: `wire` reads them as they come.

use clavicle_manifest::Uid;

/// PDU types (PS3.8 table 9-11 and following).
pub(super) const ASSOCIATE_RQ: u8 = 0x01;
pub(super) const ASSOCIATE_AC: u8 = 0x02;
pub(super) const ASSOCIATE_RJ: u8 = 0x03;
pub(super) const P_DATA: u8 = 0x04;
pub(super) const RELEASE_RQ: u8 = 0x05;
pub(super) const RELEASE_RP: u8 = 0x06;
pub(super) const ABORT: u8 = 0x07;

/// It is not what its type says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A UID in an item or a command, which should be padded with nothing or a NUL, and is with spaces as well; nothing when it is none.
pub(super) fn uid(value: &[u8]) -> Option<Uid> {
    Uid::new(core::str::from_utf8(value).ok()?.trim_start_matches(['\0', ' '])).ok()
}

/// Why an association was rejected (PS3.8 §9.3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// Another application than DICOM.
    #[error("the application context is not that of DICOM")]
    ApplicationContext,
    /// Who calls is not known.
    #[error("the calling AE title is not recognised")]
    Calling,
    /// Who is called is somebody else.
    #[error("the called AE title is not recognised")]
    Called,
    /// Another version of the protocol.
    #[error("the protocol version is not supported")]
    Version,
    /// As many associations as there may be.
    #[error("there are as many associations as there may be; try again later")]
    LocalLimit,
    /// Something else, as numbers: result, source, reason.
    #[error("the association was rejected with result {0}, source {1}, reason {2}")]
    Other(u8, u8, u8),
}

impl Rejection {
    const CODES: [(Self, [u8; 3]); 5] = [
        (Self::ApplicationContext, [1, 1, 2]),
        (Self::Calling, [1, 1, 3]),
        (Self::Called, [1, 1, 7]),
        (Self::Version, [1, 2, 2]),
        (Self::LocalLimit, [2, 3, 2]),
    ];

    pub(super) fn encode(self) -> Vec<u8> {
        let known = Self::CODES.iter().find(|(rejection, _)| *rejection == self).map(|(_, codes)| *codes);
        let [result, source, reason] = match (self, known) {
            (Self::Other(result, source, reason), _) => [result, source, reason],
            (_, codes) => codes.unwrap_or([1, 1, 1]),
        };
        vec![ASSOCIATE_RJ, 0, 0, 0, 0, 4, 0, result, source, reason]
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let [_, result, source, reason] = *body else { return Err(Malformed) };
        let known = Self::CODES.iter().find(|(_, codes)| *codes == [result, source, reason]);
        Ok(known.map_or(Self::Other(result, source, reason), |(rejection, _)| *rejection))
    }
}

/// Who ended an association, and why (PS3.8 §9.3.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abort {
    /// Who uses the upper layer: the program.
    User,
    /// The upper layer, for a reason.
    Provider(u8),
}

impl Abort {
    pub(super) const UNRECOGNISED_PDU: Self = Self::Provider(1);
    pub(super) const UNEXPECTED_PDU: Self = Self::Provider(2);
    pub(super) const INVALID_PARAMETER: Self = Self::Provider(6);

    pub(super) const fn encode(self) -> [u8; 10] {
        let (source, reason) = match self {
            Self::User => (0, 0),
            Self::Provider(reason) => (2, reason),
        };
        [ABORT, 0, 0, 0, 0, 4, 0, 0, source, reason]
    }
}

/// A release request or response.
pub(super) const fn release(kind: u8) -> [u8; 10] {
    [kind, 0, 0, 0, 0, 4, 0, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejections_are_read_as_they_were_written() {
        for (rejection, _) in Rejection::CODES.into_iter().chain([(Rejection::Other(2, 3, 1), [0; 3])]) {
            assert_eq!(Rejection::decode(&rejection.encode()[6..]), Ok(rejection));
        }
        assert_eq!(Rejection::decode(&[0; 3]), Err(Malformed));
    }
}
