//! What travels between engines, and what the write-ahead log holds: borsh, over the ledger's encodings.
//!
//! The engine's types are not ours, and some have no encoding of their own; so each has a struct here that does, with a
//! limit on every list. Decoding never trusts a length, and refuses rounds that the engine would count beyond the end of
//! its integers.

use arc_malachitebft_app_channel::app::consensus::{LivenessMsg, ProposedValue, SignedConsensusMsg};
use arc_malachitebft_app_channel::app::streaming::{StreamContent, StreamId, StreamMessage};
use arc_malachitebft_app_channel::app::types::PeerId;
use arc_malachitebft_app_channel::app::types::codec::{Codec, HasEncodedLen};
use arc_malachitebft_core_types::{
    ExtendedCommitCertificate, ExtendedCommitSignature, NilOrVal, PolkaCertificate, PolkaSignature, Round,
    RoundCertificate, RoundCertificateType, RoundSignature, SignedMessage, Validity, VoteType,
};
use arc_malachitebft_sync::{RawDecidedValue, Request, Response, Status, ValueRequest, ValueResponse};
use borsh::io::{Error as IoError, Read, Result as IoResult, Write};
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes as Buffer;
use clavicle_ledger::block::Block;
use clavicle_ledger::encoding::{self, Bytes, Wire as _};
use clavicle_ledger::id::{BlockId, SourceId};
use clavicle_ledger::source::MAX_SOURCES;
use clavicle_ledger::time::Height;
use clavicle_ledger::vote::{RoundProposal, Vote as LedgerVote, VoteKind};

use crate::context::{Address, At, Network, Proposal, Sig, Value, Vote};
use crate::parts::Part;

/// The one codec, for links and the write-ahead log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BorshCodec;

/// The most blocks in an answer to one that is behind.
pub(crate) const MAX_BATCH: usize = 16;
/// The longest answer to one that is behind: blocks of one block's greatest length together, each with its certificate.
pub(crate) const MAX_ANSWER_LEN: usize = 64 + Block::MAX_LEN + MAX_BATCH * (64 + (32 + 65) * MAX_SOURCES);
/// The longest id of a peer or a stream.
const MAX_ID: usize = 64;
/// No network gets here: a round lasts tenths of a second at least. Engine and ledger may still add to it.
const MAX_ROUND: u32 = u32::MAX / 2;

/// Why bytes were not read. Says nothing that a peer chose.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    /// Not the encoding of anything expected.
    #[error("the message cannot be read")]
    Malformed(#[from] IoError),
    /// A round beyond [`MAX_ROUND`], or none where there must be one.
    #[error("the message names an impossible round")]
    Round,
    /// An id that is none.
    #[error("the message names an impossible peer")]
    Peer,
    /// Our own message is beyond a limit.
    #[error("the message to send is beyond a limit")]
    TooLong,
}

/// At most `MAX` elements.
#[derive(Clone, Debug, PartialEq, Eq)]
struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    fn new(items: Vec<T>) -> Result<Self, CodecError> {
        if items.len() > MAX { Err(CodecError::TooLong) } else { Ok(Self(items)) }
    }
}

impl<T: BorshSerialize, const MAX: usize> BorshSerialize for List<T, MAX> {
    fn serialize<W: Write>(&self, writer: &mut W) -> IoResult<()> {
        self.0.serialize(writer)
    }
}

impl<T: BorshDeserialize, const MAX: usize> BorshDeserialize for List<T, MAX> {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let count = u32::deserialize_reader(reader)? as usize;
        if count > MAX {
            return Err(IoError::new(borsh::io::ErrorKind::InvalidData, "a list is longer than its limit"));
        }
        // Grows as elements are really there.
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(T::deserialize_reader(reader)?);
        }
        Ok(Self(items))
    }
}

/// A type of the engine's with its form on the wire.
trait Encoded: Sized {
    type Form: BorshSerialize + BorshDeserialize;
    fn to_form(&self) -> Result<Self::Form, CodecError>;
    fn from_form(form: Self::Form) -> Result<Self, CodecError>;
}

impl<T: Encoded> Codec<T> for BorshCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Buffer) -> Result<T, CodecError> {
        T::from_form(T::Form::try_from_slice(&bytes)?)
    }

    fn encode(&self, value: &T) -> Result<Buffer, CodecError> {
        Ok(encoding::encode(&value.to_form()?).into())
    }
}

fn round(round: Round) -> Result<u32, CodecError> {
    round.as_u32().ok_or(CodecError::Round)
}

fn to_round(round: u32) -> Result<Round, CodecError> {
    if round > MAX_ROUND { Err(CodecError::Round) } else { Ok(Round::new(round)) }
}

fn short<const MAX: usize>(bytes: Vec<u8>) -> Result<Bytes<MAX>, CodecError> {
    Bytes::new(bytes).map_err(|_| CodecError::TooLong)
}

type Signed = (SourceId, Sig);

/// A signed vote or proposal.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) enum MessageForm {
    Vote(LedgerVote, Sig),
    Proposal(RoundProposal, Sig),
}

fn vote_form(vote: &SignedMessage<Network, Vote>) -> Result<(LedgerVote, Sig), CodecError> {
    Ok((vote.message.to_ledger().ok_or(CodecError::Round)?, vote.signature))
}

fn from_vote_form(vote: LedgerVote, signature: Sig) -> Result<SignedMessage<Network, Vote>, CodecError> {
    to_round(vote.round)?;
    Ok(SignedMessage::new(Vote::from_ledger(vote), signature))
}

impl Encoded for SignedConsensusMsg<Network> {
    type Form = MessageForm;

    fn to_form(&self) -> Result<MessageForm, CodecError> {
        match self {
            Self::Vote(vote) => vote_form(vote).map(|(vote, signature)| MessageForm::Vote(vote, signature)),
            Self::Proposal(SignedMessage { message, signature }) => {
                Ok(MessageForm::Proposal(message.to_ledger().ok_or(CodecError::Round)?, *signature))
            }
        }
    }

    fn from_form(form: MessageForm) -> Result<Self, CodecError> {
        match form {
            MessageForm::Vote(vote, signature) => from_vote_form(vote, signature).map(Self::Vote),
            MessageForm::Proposal(proposal, signature) => {
                check_proposal(&proposal)?;
                Ok(Self::Proposal(SignedMessage::new(Proposal::from_ledger(proposal), signature)))
            }
        }
    }
}

fn check_proposal(proposal: &RoundProposal) -> Result<(), CodecError> {
    to_round(proposal.round)?;
    proposal.valid_round.map_or(Ok(()), |valid| to_round(valid).map(drop))
}

/// A certificate of prevotes for one block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct PolkaForm {
    height: Height,
    round: u32,
    block: BlockId,
    signatures: List<Signed, MAX_SOURCES>,
}

impl Encoded for PolkaCertificate<Network> {
    type Form = PolkaForm;

    fn to_form(&self) -> Result<PolkaForm, CodecError> {
        let Self { height, round: at, value_id, polka_signatures } = self;
        let signatures = polka_signatures.iter().map(|signed| (signed.address.0, signed.signature)).collect();
        Ok(PolkaForm { height: height.0, round: round(*at)?, block: *value_id, signatures: List::new(signatures)? })
    }

    fn from_form(form: PolkaForm) -> Result<Self, CodecError> {
        let PolkaForm { height, round, block, signatures } = form;
        let signed = |(source, signature)| PolkaSignature::new(Address(source), signature);
        Ok(Self {
            height: At(height),
            round: to_round(round)?,
            value_id: block,
            polka_signatures: signatures.0.into_iter().map(signed).collect(),
        })
    }
}

/// A certificate of the votes that end a round.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct RoundForm {
    height: Height,
    round: u32,
    skip: bool,
    // A validator may have cast both of its votes.
    signatures: List<(VoteKind, Option<BlockId>, Signed), { 2 * MAX_SOURCES }>,
}

impl Encoded for RoundCertificate<Network> {
    type Form = RoundForm;

    fn to_form(&self) -> Result<RoundForm, CodecError> {
        let Self { height, round: at, cert_type, round_signatures } = self;
        let signed = |signed: &RoundSignature<Network>| {
            let kind = match signed.vote_type {
                VoteType::Prevote => VoteKind::Prevote,
                VoteType::Precommit => VoteKind::Precommit,
            };
            let block = match signed.value_id {
                NilOrVal::Nil => None,
                NilOrVal::Val(block) => Some(block),
            };
            (kind, block, (signed.address.0, signed.signature))
        };
        let signatures = List::new(round_signatures.iter().map(signed).collect())?;
        let skip = *cert_type == RoundCertificateType::Skip;
        Ok(RoundForm { height: height.0, round: round(*at)?, skip, signatures })
    }

    fn from_form(form: RoundForm) -> Result<Self, CodecError> {
        let RoundForm { height, round, skip, signatures } = form;
        let signed = |(kind, block, (source, signature)): (VoteKind, Option<BlockId>, Signed)| {
            let kind = match kind {
                VoteKind::Prevote => VoteType::Prevote,
                VoteKind::Precommit => VoteType::Precommit,
            };
            RoundSignature::new(kind, block.map_or(NilOrVal::Nil, NilOrVal::Val), Address(source), signature)
        };
        Ok(Self {
            height: At(height),
            round: to_round(round)?,
            cert_type: if skip { RoundCertificateType::Skip } else { RoundCertificateType::Precommit },
            round_signatures: signatures.0.into_iter().map(signed).collect(),
        })
    }
}

/// What is sent again to help those who are stuck.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) enum LivenessForm {
    Vote(LedgerVote, Sig),
    Polka(PolkaForm),
    Round(RoundForm),
}

impl Encoded for LivenessMsg<Network> {
    type Form = LivenessForm;

    fn to_form(&self) -> Result<LivenessForm, CodecError> {
        match self {
            Self::Vote(vote) => vote_form(vote).map(|(vote, signature)| LivenessForm::Vote(vote, signature)),
            Self::PolkaCertificate(certificate) => certificate.to_form().map(LivenessForm::Polka),
            Self::SkipRoundCertificate(certificate) => certificate.to_form().map(LivenessForm::Round),
        }
    }

    fn from_form(form: LivenessForm) -> Result<Self, CodecError> {
        match form {
            LivenessForm::Vote(vote, signature) => from_vote_form(vote, signature).map(Self::Vote),
            LivenessForm::Polka(form) => PolkaCertificate::from_form(form).map(Self::PolkaCertificate),
            LivenessForm::Round(form) => RoundCertificate::from_form(form).map(Self::SkipRoundCertificate),
        }
    }
}

impl Encoded for Part {
    type Form = Self;

    fn to_form(&self) -> Result<Self, CodecError> {
        Ok(self.clone())
    }

    fn from_form(form: Self) -> Result<Self, CodecError> {
        check_proposal(&form.proposal)?;
        Ok(form)
    }
}

/// One message of a stream; without a part it is the stream's end.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct StreamForm {
    id: Bytes<MAX_ID>,
    sequence: u64,
    part: Option<Part>,
}

impl Encoded for StreamMessage<Part> {
    type Form = StreamForm;

    fn to_form(&self) -> Result<StreamForm, CodecError> {
        let id = short(self.stream_id.to_bytes().to_vec())?;
        Ok(StreamForm { id, sequence: self.sequence, part: self.content.as_data().cloned() })
    }

    fn from_form(form: StreamForm) -> Result<Self, CodecError> {
        let StreamForm { id, sequence, part } = form;
        let content = match part {
            Some(part) => StreamContent::Data(Part::from_form(part)?),
            None => StreamContent::Fin,
        };
        Ok(Self::new(StreamId::new(id.into_vec().into()), sequence, content))
    }
}

/// A block found valid or not: an entry of the write-ahead log.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct ValueForm {
    height: Height,
    round: u32,
    valid_round: Option<u32>,
    proposer: SourceId,
    block: BlockId,
    valid: bool,
}

impl Encoded for ProposedValue<Network> {
    type Form = ValueForm;

    fn to_form(&self) -> Result<ValueForm, CodecError> {
        Ok(ValueForm {
            height: self.height.0,
            round: round(self.round)?,
            valid_round: self.valid_round.as_u32(),
            proposer: self.proposer.0,
            block: self.value.0,
            valid: self.validity.is_valid(),
        })
    }

    fn from_form(form: ValueForm) -> Result<Self, CodecError> {
        let ValueForm { height, round, valid_round, proposer, block, valid } = form;
        Ok(Self {
            height: At(height),
            round: to_round(round)?,
            valid_round: valid_round.map_or(Ok(Round::Nil), to_round)?,
            proposer: Address(proposer),
            value: Value(block),
            validity: Validity::from_bool(valid),
        })
    }
}

/// How far a peer is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct StatusForm {
    peer: Bytes<MAX_ID>,
    newest: Height,
    earliest: Height,
}

impl Encoded for Status<Network> {
    type Form = StatusForm;

    fn to_form(&self) -> Result<StatusForm, CodecError> {
        let peer = short(self.peer_id.to_bytes())?;
        Ok(StatusForm { peer, newest: self.tip_height.0, earliest: self.history_min_height.0 })
    }

    fn from_form(form: StatusForm) -> Result<Self, CodecError> {
        let StatusForm { peer, newest, earliest } = form;
        let peer_id = PeerId::from_bytes(peer.as_slice()).map_err(|_| CodecError::Peer)?;
        Ok(Self { peer_id, tip_height: At(newest), history_min_height: At(earliest) })
    }
}

impl Encoded for Request<Network> {
    type Form = (Height, Height);

    fn to_form(&self) -> Result<Self::Form, CodecError> {
        let Self::ValueRequest(ValueRequest { range }) = self;
        Ok((range.start().0, range.end().0))
    }

    fn from_form((start, end): Self::Form) -> Result<Self, CodecError> {
        Ok(Self::ValueRequest(ValueRequest::new(At(start)..=At(end))))
    }
}

/// A decided block with its certificate.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct DecidedForm {
    block: Bytes<{ Block::MAX_LEN }>,
    height: Height,
    round: u32,
    id: BlockId,
    signatures: List<Signed, MAX_SOURCES>,
}

impl Encoded for RawDecidedValue<Network> {
    type Form = DecidedForm;

    fn to_form(&self) -> Result<DecidedForm, CodecError> {
        let ExtendedCommitCertificate { height, round: at, value_id, commit_signatures } = &self.certificate;
        let signatures = commit_signatures.iter().map(|signed| (signed.address.0, signed.signature)).collect();
        Ok(DecidedForm {
            block: short(self.value_bytes.to_vec())?,
            height: height.0,
            round: round(*at)?,
            id: *value_id,
            signatures: List::new(signatures)?,
        })
    }

    fn from_form(form: DecidedForm) -> Result<Self, CodecError> {
        let DecidedForm { block, height, round, id, signatures } = form;
        let signed = |(source, signature)| ExtendedCommitSignature::new(Address(source), signature, None);
        let certificate = ExtendedCommitCertificate {
            height: At(height),
            round: to_round(round)?,
            value_id: id,
            commit_signatures: signatures.0.into_iter().map(signed).collect(),
        };
        Ok(Self { value_bytes: block.into_vec().into(), certificate })
    }
}

impl Encoded for Response<Network> {
    type Form = (Height, ResponseForm);

    fn to_form(&self) -> Result<Self::Form, CodecError> {
        let Self::ValueResponse(ValueResponse { start_height, values }) = self;
        let values = values.iter().map(Encoded::to_form).collect::<Result<_, _>>()?;
        Ok((start_height.0, ResponseForm(List::new(values)?)))
    }

    fn from_form((start, ResponseForm(values)): Self::Form) -> Result<Self, CodecError> {
        let values = values.0.into_iter().map(RawDecidedValue::from_form).collect::<Result<_, _>>()?;
        Ok(Self::ValueResponse(ValueResponse::new(At(start), values)))
    }
}

/// An answer to one that is behind.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct ResponseForm(List<DecidedForm, MAX_BATCH>);

impl HasEncodedLen<Response<Network>> for BorshCodec {
    fn encoded_len(&self, response: &Response<Network>) -> Result<usize, CodecError> {
        // The engine asks after each block it adds, so nothing is copied to count it.
        let Response::ValueResponse(ValueResponse { start_height: _, values }) = response;
        let signed = 32 + 65;
        let one = |value: &RawDecidedValue<Network>| {
            4 + value.value_bytes.len() + 8 + 4 + 32 + 4 + signed * value.certificate.commit_signatures.len()
        };
        Ok(8 + 4 + values.iter().map(one).sum::<usize>())
    }
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::key::Signature;

    use super::*;
    use crate::hostile::feed;

    fn sig(byte: u8) -> Sig {
        Sig(Signature::from_bytes([byte; 64]))
    }

    fn vote(round: Round) -> SignedMessage<Network, Vote> {
        let message = Vote {
            kind: VoteKind::Precommit,
            height: At(7),
            round,
            block: NilOrVal::Val(BlockId::from_bytes([1; 32])),
            validator: Address(SourceId::from_bytes([2; 32])),
        };
        SignedMessage::new(message, sig(3))
    }

    fn response(blocks: usize) -> Response<Network> {
        let signed = ExtendedCommitSignature::new(Address(SourceId::from_bytes([2; 32])), sig(4), None);
        let certificate = ExtendedCommitCertificate {
            height: At(7),
            round: Round::ZERO,
            value_id: BlockId::from_bytes([1; 32]),
            commit_signatures: vec![signed; 3],
        };
        let value = RawDecidedValue { value_bytes: vec![5; 1000].into(), certificate };
        Response::ValueResponse(ValueResponse::new(At(7), vec![value; blocks]))
    }

    fn round_trip<T: Encoded + PartialEq + core::fmt::Debug>(value: &T) {
        let bytes = BorshCodec.encode(value).unwrap();
        let read: T = BorshCodec.decode(bytes.clone()).unwrap();
        assert_eq!(&read, value);
        for len in 0..bytes.len() {
            assert!(<BorshCodec as Codec<T>>::decode(&BorshCodec, bytes.slice(..len)).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_less() {
        let proposal = Proposal {
            height: At(7),
            round: Round::new(2),
            value: Value(BlockId::from_bytes([1; 32])),
            valid_round: Round::new(1),
            proposer: Address(SourceId::from_bytes([2; 32])),
        };
        round_trip(&SignedConsensusMsg::Vote(vote(Round::ZERO)));
        round_trip(&SignedConsensusMsg::Proposal(SignedMessage::new(proposal, sig(9))));
        round_trip(&LivenessMsg::Vote(vote(Round::ZERO)));
        round_trip(&response(2));
        let peer_id = PeerId::from_bytes(&[&[0, 32][..], &[7; 32]].concat()).unwrap();
        round_trip(&Status { peer_id, tip_height: At(3), history_min_height: At(1) });
        round_trip(&Request::ValueRequest(ValueRequest::new(At(3)..=At(9))));
    }

    /// Bytes that were accepted are those of what was read.
    fn reads_only_what_it_writes<T: Encoded>(bytes: &[u8]) {
        if let Ok(value) = <BorshCodec as Codec<T>>::decode(&BorshCodec, Buffer::copy_from_slice(bytes)) {
            assert_eq!(BorshCodec.encode(&value).unwrap(), bytes);
        }
    }

    #[test]
    fn fuzz() {
        let vote = BorshCodec.encode(&SignedConsensusMsg::Vote(vote(Round::ZERO))).unwrap().to_vec();
        feed("consensus message", &[vote], reads_only_what_it_writes::<SignedConsensusMsg<Network>>);
        let vote = BorshCodec.encode(&LivenessMsg::Vote(self::vote(Round::ZERO))).unwrap().to_vec();
        feed("liveness message", &[vote], reads_only_what_it_writes::<LivenessMsg<Network>>);
        let peer_id = PeerId::from_bytes(&[&[0, 32][..], &[7; 32]].concat()).unwrap();
        let status = BorshCodec.encode(&Status { peer_id, tip_height: At(3), history_min_height: At(1) }).unwrap();
        feed("status", &[status.to_vec()], reads_only_what_it_writes::<Status<Network>>);
        let question = BorshCodec.encode(&Request::ValueRequest(ValueRequest::new(At(3)..=At(9)))).unwrap();
        feed("question for blocks", &[question.to_vec()], reads_only_what_it_writes::<Request<Network>>);
        let answer = BorshCodec.encode(&response(2)).unwrap().to_vec();
        feed("decided blocks", &[answer], reads_only_what_it_writes::<Response<Network>>);
        let part = StreamMessage::new(StreamId::new(vec![1; 20].into()), 3, StreamContent::<Part>::Fin);
        let part = BorshCodec.encode(&part).unwrap().to_vec();
        feed("part of a block", &[part], reads_only_what_it_writes::<StreamMessage<Part>>);
    }

    #[test]
    fn a_response_is_as_long_as_it_says() {
        for blocks in 0..4 {
            let response = response(blocks);
            assert_eq!(BorshCodec.encoded_len(&response).unwrap(), BorshCodec.encode(&response).unwrap().len());
        }
    }

    #[test]
    fn rounds_that_cannot_be_are_refused() {
        let SignedMessage { message, signature } = vote(Round::ZERO);
        let ledgers = LedgerVote { round: u32::MAX, ..message.to_ledger().unwrap() };
        let bytes = encoding::encode(&MessageForm::Vote(ledgers, signature));
        let read: Result<SignedConsensusMsg<Network>, _> = BorshCodec.decode(bytes.into());
        assert!(matches!(read, Err(CodecError::Round)));
        assert!(matches!(BorshCodec.encode(&SignedConsensusMsg::Vote(vote(Round::Nil))), Err(CodecError::Round)));
    }

    #[test]
    fn a_list_that_claims_to_be_long_is_not_believed() {
        let mut bytes = encoding::encode(&(7u64, 0u32, BlockId::from_bytes([1; 32])));
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        let read: Result<PolkaCertificate<Network>, _> = BorshCodec.decode(bytes.into());
        assert!(matches!(read, Err(CodecError::Malformed(_))));
    }
}
