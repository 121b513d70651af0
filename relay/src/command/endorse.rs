//! `endorse`: the keeper of an identity key lets a checkpoint key sign for its hospital. It needs neither a relay nor a network.

use std::path::Path;

use clavicle_command::file::{Readers, path_text, write_new};
use clavicle_ledger::encoding::{self, Wire as _};
use clavicle_ledger::light::Endorsement;
use serde_json::json;

use super::CommandError;
use crate::answer::{Answer, Failure};
use crate::keys::read_key;
use crate::operations::checkpoints::read_file;

pub(super) fn run(request: &Path, identity: &Path, out: &Path) -> Result<Answer, Failure> {
    let bytes = read_file(request, Endorsement::MAX_LEN)?;
    let damaged = |error| CommandError::Request { path: request.to_owned(), error };
    let endorsement: Endorsement = encoding::decode(&bytes).map_err(damaged)?;
    let identity = read_key(identity).map_err(CommandError::from)?;
    let signed = endorsement.sign(&identity);
    signed.verify().map_err(CommandError::Endorsement)?;
    let written = write_new(out, &encoding::encode(&signed), Readers::Usual);
    written.map_err(|error| CommandError::Unwritten { path: out.to_owned(), error })?;
    let Endorsement { chain, source, key, from, until } = endorsement;
    Ok(Answer {
        text: format!(
            "network     {chain}\nhospital    {source}\nkey         {key} may sign its checkpoints\nfrom        {from}\nuntil       {until}\nsigned by   {}, in {}",
            signed.identity,
            out.display()
        ),
        json: json!({
            "chain": chain.to_string(), "source": source.to_string(), "key": key.to_string(), "from_ms": from.0, "until_ms": until.0,
            "identity": signed.identity.to_string(), "file": path_text(out),
        }),
    })
}
