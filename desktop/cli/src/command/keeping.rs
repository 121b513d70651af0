//! What a wallet is kept by: its words, written down, and its passphrase.

use std::sync::Arc;

use clap::Args;
use clavicle_app::{App, CheckWords, MoveOutcome, MoveStudies, MovedStudies, ShowNewWords, ShowWords, TakeNewWords};
use clavicle_command::given::Given;
use clavicle_command::said::{many, some_of};
use clavicle_wallet::vault::Passphrase;
use serde_json::json;

use super::personal::{NewPassphraseKind, ThreeWordsKind};
use super::wallet::short;
use super::{Answer, CommandError, Folder, client};

/// What is done with the words.
#[derive(Debug, Args)]
pub struct WordsArguments {
    /// Type the three words that are asked for, unseen
    #[arg(long)]
    check: bool,
    /// The three words that are asked for, in their order
    #[command(flatten)]
    three: Given<ThreeWordsKind>,
    /// Show all 24 once more: whoever sees them has the wallet
    #[arg(long, conflicts_with = "check")]
    show: bool,
}

/// Tells whether the words are known to be written down, checks three of them, or shows them.
pub(super) async fn words(app: App, folder: &Folder, arguments: &WordsArguments) -> Result<Answer, CommandError> {
    let WordsArguments { check, three, show } = arguments;
    if *check || three.is_given() {
        let words = three.ask().map_err(CommandError::NoWords)?;
        client::done(&app, CheckWords { words }, "").await?;
    }
    let asked = app.subscribe().borrow().words_asked;
    let text = match asked {
        None => "This wallet is protected: its 24 words were written down.".to_owned(),
        Some([first, second, third]) => format!(
            "This wallet is not protected yet: if this device is lost, so is all that is in it. Look at the 24 words that you wrote down, and type words \
             {first}, {second} and {third}: clavicle wallet words --dir {} --check",
            folder.dir.display()
        ),
    };
    let mut answer = Answer { text, json: json!({ "protected": asked.is_none(), "asked": asked }) };
    if *show {
        let keys = Arc::new(folder.passphrase()?);
        let words = client::done(&app, ShowWords { keys }, "").await?;
        let words = words.reveal();
        answer.text = format!("{}\n\n{}", numbered(&words), answer.text);
        answer.json["words"] = json!(words.as_str());
    }
    Ok(answer)
}

/// Changes the passphrase.
pub(super) async fn passphrase(folder: &Folder, new: &Given<NewPassphraseKind>) -> Result<Answer, CommandError> {
    let former = Arc::new(folder.passphrase()?);
    let (given, is_same) = new.ask_twice().map_err(CommandError::NoPassphrase)?;
    if !is_same {
        return Err(CommandError::PassphrasesDiffer);
    }
    let new = Arc::new(Passphrase::new(given)?);
    App::change_keys(&folder.dir, former, new).await?;
    Ok(Answer {
        text: "The passphrase is changed; the former opens nothing any more. The 24 words are the same. (A copy of the folder that somebody made \
               before opens as ever: if you fear that, take new words.)"
            .to_owned(),
        json: json!({ "changed": true }),
    })
}

/// Shows new words; once three of them were typed, takes them into use and moves every study to them. Given once more, it goes on where it stopped.
pub(super) async fn new_words(
    folder: &Folder,
    check: bool,
    three: &Given<ThreeWordsKind>,
    keep_grants: bool,
) -> Result<Answer, CommandError> {
    let app = client::patient_at_once(folder).await?;
    let (has_new_words, to_move) = {
        let state = app.subscribe();
        let state = state.borrow();
        (state.has_new_words, state.to_move)
    };
    let is_checked = check || three.is_given();
    if has_new_words && is_checked {
        let words = three.ask().map_err(CommandError::NoWords)?;
        client::done(&app, TakeNewWords { words }, "").await?;
    } else if !is_checked && to_move == 0 {
        let keys = Arc::new(folder.passphrase()?);
        let (words, asked) = client::done(&app, ShowNewWords { keys }, "").await?;
        let (words, [first, second, third]) = (words.reveal(), asked);
        let dir = folder.dir.display();
        return Ok(Answer {
            text: format!(
                "These are new words. Nothing is changed yet. Write them down on other paper than the old ones, and show them to nobody.\n\n{}\n\nThen type \
                 words {first}, {second} and {third}: clavicle wallet new-words --dir {dir} --check\nFrom then on they are the wallet: every study moves to \
                 them, and everything that you allowed ends, on every device. Keep the old words until all have moved.",
                numbered(&words)
            ),
            json: json!({ "words": words.as_str(), "asked": asked, "moved": null }),
        });
    }
    let moved = client::done(&app, MoveStudies { keep_grants }, "studies moved").await?;
    let MovedStudies { rows, not_searched, refused } = moved;
    let (mut lines, mut all, mut done) = (Vec::new(), Vec::new(), 0);
    for (study, moved) in &rows {
        let id = study.to_string();
        let (line, height) = match moved {
            MoveOutcome::Moved(height) => {
                done += 1;
                (format!("under the new words, final at height {height}"), Some(*height))
            }
            MoveOutcome::OtherHolder => (
                "somebody else has it by now: ask the hospital to suspend it, and to give it back to you".to_owned(),
                None,
            ),
            MoveOutcome::Stays(why) => (format!("still under the old words: {why}"), None),
        };
        lines.push(format!("{}  {line}", short(&id)));
        all.push(json!({ "study": id, "height": height, "sentence": line }));
    }
    let not_searched = not_searched.map(|trouble| trouble.happened);
    lines.push(match (rows.len() - done, &not_searched) {
        (0, None) if refused > 0 => format!(
            "{} moved; keep the old words for nine days more, and do the same again then: {} that a hospital refused may still come into force under them",
            many(done, "study", "studies"),
            many(refused, "claim", "claims")
        ),
        (0, None) => format!(
            "{} moved; nothing is under the old words any more, and they are worth nothing: destroy them",
            many(done, "study", "studies")
        ),
        (left, _) => {
            format!("{done} of {} moved, {left} not; keep the old words, and do the same again", many(rows.len(), "study", "studies"))
        }
    });
    let shortfall = (done < rows.len() || not_searched.is_some()).then(|| match &not_searched {
        Some(why) if done == rows.len() => {
            format!("what other devices picked up under the old words could not be looked for: {why}")
        }
        _ => format!(
            "{} still under the old words: the same again goes on",
            some_of(rows.len() - done, rows.len(), ("study", "studies"), ("is", "are"))
        ),
    });
    let answer = Answer {
        text: lines.join("\n"),
        json: json!({ "moved": all, "not_searched": not_searched, "refused": refused }),
    };
    CommandError::unless_all(shortfall, "not_final", answer)
}

/// Words as they are shown, each with its number.
pub(super) fn numbered(words: &str) -> String {
    let numbered: Vec<String> = (1..).zip(words.split(' ')).map(|(n, word)| format!("{n:>2} {word:<10}")).collect();
    let rows: Vec<String> = numbered.chunks(6).map(|row| row.join(" ").trim_end().to_owned()).collect();
    rows.join("\n")
}
