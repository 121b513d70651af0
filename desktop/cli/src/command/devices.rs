//! `clavicle wallet devices`: which devices have these words, what each is called, and which are told nothing any more.

use clap::Args;
use clavicle_app::{EndDevice, NameDevice, ShareDevices, SharedNews, State};
use clavicle_letters::name::quoted;
use clavicle_wallet::patient::DeviceRow;
use serde_json::json;

use super::terms::moment;
use super::wallet::{SHARING, short};
use super::{Answer, CommandError, Folder, client, progress};

/// Which devices have the words, and what is done with one.
#[derive(Debug, Args)]
pub struct DevicesArguments {
    /// Which wallet
    #[command(flatten)]
    folder: Folder,
    /// Name the device with this number
    #[arg(long, value_name = "NUMBER", requires = "name")]
    device: Option<u32>,
    /// What it is called
    #[arg(long, requires = "device")]
    name: Option<String>,
    /// End the device with this number: the others tell it nothing any more. It has the words all the same: if somebody
    /// else may have it open, take new words (`new-words`)
    #[arg(long, value_name = "NUMBER", conflicts_with = "device")]
    end: Option<u32>,
}

/// Shares, does what is asked for, and lists the devices.
pub(super) async fn devices(of: DevicesArguments) -> Result<Answer, CommandError> {
    let DevicesArguments { folder, device, name, end } = of;
    let app = client::patient(&folder).await?;
    progress::doing("telling your other devices what this one did, and hearing what they did");
    let SharedNews { mut heard, mut told, mut waits, mut not_told } = client::done(&app, ShareDevices {}, "").await?;
    let is_changed = device.is_some() || end.is_some();
    if let (Some(device), Some(name)) = (device, name) {
        client::done(&app, NameDevice { device, name }, "").await?;
    }
    if let Some(device) = end {
        client::done(&app, EndDevice { device }, "").await?;
    }
    let mut all_told = waits == 0;
    if is_changed {
        // Of this, too, the others are told now, or it is said that they were not.
        let again = client::done_within(&app, ShareDevices {}, "", SHARING).await;
        all_told = matches!(&again, Some(Ok(again)) if again.waits == 0);
        if let Some(Ok(again)) = again {
            (heard, told, waits) = (heard + again.heard, told + again.told, again.waits);
            not_told.extend(again.not_told);
        }
    }
    let state = app.subscribe();
    let state = state.borrow();
    let mut lines: Vec<String> = state.devices.iter().map(line).collect();
    if end.is_some() {
        lines.push(ended(all_told));
    }
    if is_changed && !all_told {
        lines.push(NOT_YET.to_owned());
    }
    lines.push(format!("{heard} things heard from the others, {told} told to them, {waits} still to be told"));
    lines.extend(not_told.iter().map(|(study, why)| format!("{}: {why}", short(&study.to_string()))));
    let rows: Vec<_> = state.devices.iter().map(row).collect();
    let missing: Vec<String> = not_told.iter().map(|(study, _)| study.to_string()).collect();
    let json = json!({ "devices": rows, "heard": heard, "told": told, "waits": waits, "all_told": all_told, "not_told": missing });
    let shortfall = (!not_told.is_empty()).then(|| {
        let dir = folder.dir.display();
        format!(
            "{} studies that another device told of are not here yet: clavicle wallet find --dir {dir}",
            not_told.len()
        )
    });
    CommandError::unless_all(shortfall, "not_told", Answer { text: lines.join("\n"), json })
}

/// What ending a device means, and what it does not.
fn ended(all_told: bool) -> String {
    let devices = if all_told { "your devices tell" } else { "this device tells" };
    let listen = if all_told { "do" } else { "does" };
    format!(
        "ended: {devices} it nothing any more, and {listen} not listen to it. It has your 24 words all the same, and what they hold it still \
         holds. If somebody else may have it open: clavicle wallet new-words"
    )
}

/// What is said where a device could not be told.
const NOT_YET: &str = "not all of your other devices could be told of it: they are when this wallet is used next, or when you list the \
                       devices again";

fn called(row: &DeviceRow) -> String {
    match (row.name.is_empty(), row.is_own) {
        (false, _) => quoted(&row.name).to_string(),
        (true, true) => "this device, not named yet".to_owned(),
        (true, false) => "a new device of yours, not named yet".to_owned(),
    }
}

fn line(row: &DeviceRow) -> String {
    let own = if row.is_own && !row.name.is_empty() { "  (this one)" } else { "" };
    let ended = if row.is_ended { "  ended" } else { "" };
    format!("{:>4}  {}  since {}{own}{ended}", row.device, called(row), moment(row.since))
}

fn row(row: &DeviceRow) -> serde_json::Value {
    json!({
        "device": row.device, "name": (!row.name.is_empty()).then_some(&row.name), "since_ms": row.since.0, "own": row.is_own,
        "ended": row.is_ended,
    })
}

/// What is to be said of devices at every start.
pub(super) fn said(state: &State, dir: &std::path::Path) -> Vec<String> {
    let dir = dir.display();
    let of = |row: &DeviceRow| match (row.is_own, row.is_ended, row.name.is_empty()) {
        (true, true, _) => Some(format!(
            "this device was ended from another of yours, which tell it nothing any more. It has your words all the same: if you did not do that, \
             take new words: clavicle wallet new-words --dir {dir}"
        )),
        (false, false, true) => Some(format!(
            "a new device of yours, not named yet: number {}, since {}. If it is yours: clavicle wallet devices --dir {dir} --device {} --name NAME; if \
             not, somebody has your words: clavicle wallet new-words --dir {dir}",
            row.device,
            moment(row.since),
            row.device
        )),
        _ => None,
    };
    state.devices.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_devices_that_were_not_told_it_is_not_said_that_they_know() {
        assert!(ended(true).starts_with("ended: your devices tell it nothing"));
        assert!(ended(false).starts_with("ended: this device tells it nothing"));
    }
}
