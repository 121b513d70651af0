//! Command sets: the few short elements in front of every message, always implicit little endian (PS3.7 §6.3.1, Annex E).

use core::fmt;

use clavicle_manifest::Uid;

use super::pdu::uid;

/// The longest command set that is read. One of C-STORE has some 300 bytes.
pub(super) const MAX_COMMAND: usize = 16 << 10;

/// Command Field (0000,0100) of the messages known here; that of a response has the highest bit set.
pub(super) const C_STORE_RQ: u16 = 0x0001;
pub(super) const C_ECHO_RQ: u16 = 0x0030;
pub(super) const C_CANCEL_RQ: u16 = 0x0fff;
pub(super) const RESPONSE: u16 = 0x8000;

/// Command Data Set Type (0000,0800) that says that none follows; any other says that one does.
const NO_DATA_SET: u16 = 0x0101;
const DATA_SET: u16 = 0x0001;
/// Priority (0000,0700), medium.
const MEDIUM: u16 = 0;

/// Elements of group 0000.
const GROUP_LENGTH: u16 = 0x0000;
const AFFECTED_SOP_CLASS_UID: u16 = 0x0002;
const COMMAND_FIELD: u16 = 0x0100;
const MESSAGE_ID: u16 = 0x0110;
const MESSAGE_ID_BEING_RESPONDED_TO: u16 = 0x0120;
const PRIORITY: u16 = 0x0700;
const COMMAND_DATA_SET_TYPE: u16 = 0x0800;
const STATUS: u16 = 0x0900;
const ERROR_COMMENT: u16 = 0x0902;
const AFFECTED_SOP_INSTANCE_UID: u16 = 0x1000;

/// Status (0000,0900) of a response (PS3.7 Annex C, PS3.4 §B.2.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// Done.
    pub const SUCCESS: Self = Self(0x0000);
    /// The SOP Instance UID is none.
    pub const INVALID_SOP_INSTANCE: Self = Self(0x0117);
    /// Processing failed, at no fault of the sender.
    pub const PROCESSING_FAILURE: Self = Self(0x0110);
    /// The SOP Class is not that of the presentation context, or not one that can be stored.
    pub const SOP_CLASS_NOT_SUPPORTED: Self = Self(0x0122);
    /// The sender may not do this.
    pub const NOT_AUTHORISED: Self = Self(0x0124);
    /// There is no such command here.
    pub const UNRECOGNISED_OPERATION: Self = Self(0x0211);
    /// Something that the command needs is missing or wrong.
    pub const MISTYPED_ARGUMENT: Self = Self(0x0212);
    /// No room, or too many.
    pub const OUT_OF_RESOURCES: Self = Self(0xa700);
    /// The data set does not match the SOP Class, or the instance named in the command.
    pub const DATA_SET_DOES_NOT_MATCH: Self = Self(0xa900);
    /// The data set cannot be read.
    pub const CANNOT_UNDERSTAND: Self = Self(0xc000);

    /// Whether the object was stored: success, or a warning (PS3.4 §B.2.3).
    #[must_use]
    pub const fn is_stored(self) -> bool {
        matches!(self.0, 0x0000 | 0x0001 | 0x0107 | 0x0116 | 0xb000..=0xbfff)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.0 {
            0x0000 => "success",
            0x0110 => "processing failure",
            0x0117 => "invalid SOP Instance",
            0x0122 => "SOP Class not supported",
            0x0124 => "not authorised",
            0x0210 => "duplicate invocation",
            0x0211 => "unrecognised operation",
            0x0212 => "mistyped argument",
            0xa700..=0xa7ff => "out of resources",
            0xa900..=0xa9ff => "data set does not match SOP Class",
            0xb000..=0xbfff => "stored, with a warning",
            0xc000..=0xcfff => "cannot understand",
            _ => "failure",
        };
        write!(f, "{words} ({:04X})", self.0)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

/// A command set, as far as it is understood here. What is no UID where one should be is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) field: u16,
    pub(super) message_id: Option<u16>,
    pub(super) responds_to: Option<u16>,
    pub(super) has_data_set: bool,
    pub(super) class: Option<Uid>,
    pub(super) instance: Option<Uid>,
    pub(super) status: Option<Status>,
    pub(super) comment: Option<String>,
}

impl Command {
    /// Reads a command set; `None` when it is damaged, or lacks what every command has.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut command = Self::default();
        let (mut field, mut data_set_type) = (None, None);
        let mut last = None;
        while !bytes.is_empty() {
            let (head, rest) = bytes.split_first_chunk::<8>()?;
            let [0, 0, low, high, len @ ..] = *head else { return None };
            let element = u16::from_le_bytes([low, high]);
            let len = usize::try_from(u32::from_le_bytes(len)).ok()?;
            let (value, rest) = rest.split_at_checked(len)?;
            bytes = rest;
            // Ascending (PS3.5 §7.1), and so nothing twice.
            if last.is_some_and(|last| last >= element) {
                return None;
            }
            last = Some(element);
            match element {
                AFFECTED_SOP_CLASS_UID => command.class = uid(value),
                COMMAND_FIELD => field = Some(number(value)?),
                MESSAGE_ID => command.message_id = Some(number(value)?),
                MESSAGE_ID_BEING_RESPONDED_TO => command.responds_to = Some(number(value)?),
                COMMAND_DATA_SET_TYPE => data_set_type = Some(number(value)?),
                STATUS => command.status = Some(Status(number(value)?)),
                ERROR_COMMENT => command.comment = Some(line(value)),
                AFFECTED_SOP_INSTANCE_UID => command.instance = uid(value),
                _ => {}
            }
        }
        command.field = field?;
        command.has_data_set = data_set_type? != NO_DATA_SET;
        Some(command)
    }

    /// A request to store, to be followed by the data set.
    pub(super) fn store(message_id: u16, class: Uid, instance: Uid) -> Self {
        let (class, instance, message_id) = (Some(class), Some(instance), Some(message_id));
        Self { field: C_STORE_RQ, message_id, has_data_set: true, class, instance, ..Self::default() }
    }

    /// A request for a sign of life.
    pub(super) fn echo(message_id: u16, class: Uid) -> Self {
        Self { field: C_ECHO_RQ, message_id: Some(message_id), class: Some(class), ..Self::default() }
    }

    /// The response to this one, which bears number `message_id`.
    pub(super) fn response(&self, message_id: u16, status: Status, comment: Option<&str>) -> Self {
        Self {
            field: self.field | RESPONSE,
            message_id: None,
            responds_to: Some(message_id),
            has_data_set: false,
            class: self.class,
            instance: self.instance,
            status: Some(status),
            comment: comment.map(str::to_owned),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut elements = Vec::new();
        let mut element = |element: u16, value: &[u8], pad: u8| {
            let padding = &[pad][..value.len() % 2];
            let len = u32::try_from(value.len() + padding.len()).expect("values of a command are short");
            elements.extend([0, 0]);
            elements.extend(element.to_le_bytes());
            elements.extend(len.to_le_bytes());
            elements.extend(value);
            elements.extend(padding);
        };
        let is_store_rq = self.field == C_STORE_RQ;
        if let Some(uid) = &self.class {
            element(AFFECTED_SOP_CLASS_UID, uid.as_str().as_bytes(), 0);
        }
        element(COMMAND_FIELD, &self.field.to_le_bytes(), 0);
        if let Some(number) = self.message_id {
            element(MESSAGE_ID, &number.to_le_bytes(), 0);
        }
        if let Some(number) = self.responds_to {
            element(MESSAGE_ID_BEING_RESPONDED_TO, &number.to_le_bytes(), 0);
        }
        if is_store_rq {
            element(PRIORITY, &MEDIUM.to_le_bytes(), 0);
        }
        let data_set_type = if self.has_data_set { DATA_SET } else { NO_DATA_SET };
        element(COMMAND_DATA_SET_TYPE, &data_set_type.to_le_bytes(), 0);
        if let Some(status) = self.status {
            element(STATUS, &status.0.to_le_bytes(), 0);
        }
        if let Some(comment) = &self.comment {
            element(ERROR_COMMENT, comment.as_bytes(), b' ');
        }
        if let Some(uid) = &self.instance {
            element(AFFECTED_SOP_INSTANCE_UID, uid.as_str().as_bytes(), 0);
        }
        let len = u32::try_from(elements.len()).expect("a command is short").to_le_bytes();
        let [group_low, group_high] = GROUP_LENGTH.to_le_bytes();
        [&[0, 0, group_low, group_high, 4, 0, 0, 0], &len[..], &elements].concat()
    }
}

fn number(value: &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(value.try_into().ok()?))
}

/// At most 64 characters that show.
pub(super) fn line(text: &[u8]) -> String {
    let text: String = text
        .iter()
        .take(64)
        .map(|byte| if matches!(byte, b' '..=b'~') && *byte != b'\\' { char::from(*byte) } else { '?' })
        .collect();
    text.trim_end_matches([' ', '?']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Command {
        Command::store(7, Uid::new("1.2.840.10008.5.1.4.1.1.2").unwrap(), Uid::new("1.2.3").unwrap())
    }

    #[test]
    fn commands_are_read_as_they_were_written() {
        let response = store().response(7, Status::OUT_OF_RESOURCES, Some("the disk is full"));
        for command in [store(), response, Command::echo(65_535, Uid::new("1.2.840.10008.1.1").unwrap())] {
            assert_eq!(Command::decode(&command.encode()), Some(command));
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_standard() {
        let echo = Command::echo(1, Uid::new("1.2.840.10008.1.1").unwrap()).encode();
        let expected =
            b"\0\0\0\0\x04\0\0\0\x38\0\0\0\0\0\x02\0\x12\0\0\x001.2.840.10008.1.1\0\0\0\0\x01\x02\0\0\0\x30\0\
            \0\0\x10\x01\x02\0\0\0\x01\0\0\0\0\x08\x02\0\0\0\x01\x01";
        assert_eq!(echo, expected);
    }

    #[test]
    fn a_command_cut_off_or_changed_is_none_or_another() {
        let bytes = store().encode();
        for len in 0..bytes.len() {
            assert_ne!(Command::decode(&bytes[..len]), Some(store()), "{len}");
        }
        for at in 12..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                // It need not differ in what is understood; it must not panic.
                drop(Command::decode(&changed));
            }
        }
        assert_eq!(Command::decode(&[]), None);
        assert_eq!(Command::decode(&[bytes.clone(), bytes[12..].to_vec()].concat()), None);
    }

    #[test]
    fn comments_are_short_and_plain() {
        assert_eq!(line(&[b'a'; 100]).len(), 64);
        assert_eq!(line("kein Gerät\n".as_bytes()), "kein Ger??t");
    }
}
