//! Messages: a command, and as the case may be a data set, cut into fragments (PS3.8 Annex E, PS3.7 §6.3).

use std::io::{self, Read};

use clavicle_manifest::Uid;

use super::command::{Command, MAX_COMMAND};
use super::fault::{Fault, Violation};
use super::pdu::P_DATA;
use super::syntax::Context;
use super::wire::{Fragment, Incoming, Wire};

/// So much of a data set has to come within the time that a step may take: with the usual 60 seconds, 1 KiB each second.
const STEP: u64 = 64 << 10;
/// Bytes of a data unit that are sent at once, whatever the peer would take.
const MAX_SENT: u32 = 128 << 10;
/// Length, presentation context, control: what is in front of a fragment.
const FRAGMENT_HEAD: u32 = 6;

/// What a peer wants next.
#[derive(Debug)]
pub(super) enum Message {
    /// A command, in this presentation context. Its data set, if it has one, is read with [`data_set`].
    Command(Context, Box<Command>),
    /// To end the association.
    ReleaseRq,
    /// It agrees to end it.
    ReleaseRp,
}

/// Reads a command.
pub(super) fn command(wire: &mut Wire, contexts: &[Context]) -> Result<Message, Fault> {
    let mut bytes = Vec::new();
    let mut begun: Option<Context> = None;
    loop {
        let fragment = match wire.next()? {
            Incoming::Fragment(fragment) => fragment,
            Incoming::ReleaseRq => return Ok(Message::ReleaseRq),
            Incoming::ReleaseRp => return Ok(Message::ReleaseRp),
        };
        let known = contexts.iter().find(|context| context.id == fragment.context);
        let context = *known.ok_or(Violation::Context(fragment.context))?;
        if !fragment.is_command || begun.is_some_and(|begun| begun.id != context.id) {
            return Err(Violation::Fragment.into());
        }
        begun = Some(context);
        while let Some(some) = wire.of_fragment()? {
            if bytes.len() + some.len() > MAX_COMMAND {
                return Err(Violation::Command.into());
            }
            bytes.extend_from_slice(some);
        }
        if fragment.is_last {
            let command = Command::decode(&bytes).ok_or(Violation::Command)?;
            return Ok(Message::Command(context, Box::new(command)));
        }
    }
}

/// Reads the data set of the command that came before it in `context`, piece by piece, up to `most` bytes. How many it had.
pub(super) fn data_set(
    wire: &mut Wire,
    context: &Context,
    most: u64,
    mut piece: impl FnMut(&[u8]),
) -> Result<u64, Fault> {
    let (mut len, mut step) = (0, 0);
    wire.renew();
    loop {
        let Incoming::Fragment(Fragment { context: id, is_command, is_last }) = wire.next()? else {
            return Err(Violation::Fragment.into());
        };
        if is_command || id != context.id {
            return Err(Violation::Fragment.into());
        }
        while let Some(some) = wire.of_fragment()? {
            len += some.len() as u64;
            if len > most {
                return Err(Violation::Endless.into());
            }
            piece(some);
            if len - step >= STEP {
                step = len;
                wire.renew();
            }
        }
        if is_last {
            return Ok(len);
        }
    }
}

/// Sends a command. It fits into one unit: every peer takes 4 KiB, and a command has a tenth of that.
pub(super) fn send_command(wire: &mut Wire, context: &Context, command: &Command) -> Result<(), Fault> {
    let mut unit = unit(context.id, true);
    unit.extend(command.encode());
    finish(&mut unit, true);
    wire.send(&unit)
}

/// Sends `len` bytes of `data_set`, in units of `max_pdu` bytes at most. What fails in reading them is the inner error.
pub(super) fn send_data_set(
    wire: &mut Wire,
    context: &Context,
    max_pdu: u32,
    data_set: &mut impl Read,
    len: u64,
) -> Result<io::Result<()>, Fault> {
    let most = fragment_len(max_pdu);
    let mut left = len;
    loop {
        let mut unit = unit(context.id, false);
        let wanted = left.min(most);
        match data_set.take(wanted).read_to_end(&mut unit) {
            Ok(read) if read as u64 == wanted => left -= wanted,
            Ok(_) => return Ok(Err(io::ErrorKind::UnexpectedEof.into())),
            Err(error) => return Ok(Err(error)),
        }
        finish(&mut unit, left == 0);
        wire.send(&unit)?;
        if left == 0 {
            return Ok(Ok(()));
        }
    }
}

/// Most bytes of a data set in a unit of `max_pdu` bytes. A fragment has an even length (PS3.8 Annex E), whatever the peer would take. Of one that says
/// less than there is room for, nothing is believed: a unit has to hold something.
fn fragment_len(max_pdu: u32) -> u64 {
    let most = if max_pdu == 0 { MAX_SENT } else { max_pdu.min(MAX_SENT) };
    u64::from((most.saturating_sub(FRAGMENT_HEAD) & !1).max(2))
}

/// A data unit with one fragment, whose lengths are not known yet.
fn unit(context: u8, is_command: bool) -> Vec<u8> {
    vec![P_DATA, 0, 0, 0, 0, 0, 0, 0, 0, 0, context, u8::from(is_command)]
}

fn finish(unit: &mut [u8], is_last: bool) {
    let len = u32::try_from(unit.len() - 6).expect("at most as long as it may be sent");
    unit[2..6].copy_from_slice(&len.to_be_bytes());
    unit[6..10].copy_from_slice(&(len - 4).to_be_bytes());
    unit[11] |= u8::from(is_last) << 1;
}

/// The accepted context in which objects of a class go in a transfer syntax.
pub(super) fn context_for(
    contexts: &[Context],
    abstract_syntax: Uid,
    transfer_syntax: Option<Uid>,
) -> Option<&Context> {
    contexts.iter().find(|context| {
        context.abstract_syntax == abstract_syntax
            && transfer_syntax.is_none_or(|transfer_syntax| context.transfer_syntax == transfer_syntax)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_are_even_whatever_a_peer_takes() {
        for (max_pdu, len) in
            [(0, 131_066), (16_384, 16_378), (16_385, 16_378), (16_383, 16_376), (9, 2), (7, 2), (1, 2)]
        {
            assert_eq!(fragment_len(max_pdu), len, "{max_pdu}");
        }
    }
}
