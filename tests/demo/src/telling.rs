//! The story as it is told: a line for each step when it has happened, and one object at the end.

use std::path::Path;
use std::time::{Duration, Instant};

use clavicle_command::file::path_text;
use clavicle_command::said::say;
use serde_json::{Value, json};

/// Characters in a line, and those of the time at its right.
const WIDTH: usize = 100;
const TIME: usize = 9;

/// The whole of it: lines for a person, and the same as one JSON object.
pub(crate) struct Told {
    pub(crate) text: String,
    pub(crate) json: Value,
}

pub(crate) struct Telling {
    /// Says nothing before the end.
    quiet: bool,
    began: Instant,
    /// The step that the story is at, and since when.
    pub(crate) step: &'static str,
    from: Instant,
    steps: Vec<Value>,
}

impl Telling {
    pub(crate) fn new(quiet: bool) -> Self {
        let now = Instant::now();
        Self { quiet, began: now, step: "folder", from: now, steps: Vec::new() }
    }

    /// A step begins; its time is taken from here.
    pub(crate) fn begin(&mut self, step: &'static str) {
        (self.step, self.from) = (step, Instant::now());
    }

    /// The step has happened.
    pub(crate) fn done(&mut self, sentence: &str, measured: Value) {
        self.took(self.from.elapsed(), sentence, measured);
    }

    /// The step has happened, and took as long as this.
    pub(crate) fn took(&mut self, took: Duration, sentence: &str, measured: Value) {
        let step = json!({ "step": self.step, "sentence": sentence, "ms": millis(took), "measured": measured });
        self.steps.push(step);
        self.say(&line(sentence, &shown(took)));
    }

    /// Says something beside the steps.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// The end: what it came to, and what can be done next with what was kept, if it was.
    pub(crate) fn end(self, next: Option<&str>, kept: Option<&Path>) -> Told {
        let ms =
            |step| self.steps.iter().find(|told| told["step"] == step).map_or(Value::Null, |told| told["ms"].clone());
        let (took, granted, refused) = (self.began.elapsed(), ms("grant"), ms("refusal"));
        let next = next.unwrap_or("Everything was stopped and removed.");
        let text = format!(
            "\nTold in {}. Granted and final in {granted} ms; revoked and refused in {refused} ms.\n{next}",
            shown(took)
        );
        Told { text, json: json!({ "steps": self.steps, "ms": millis(took), "kept": kept.map(path_text) }) }
    }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

fn shown(took: Duration) -> String {
    match millis(took) {
        0 => "<1 ms".to_owned(),
        ms @ 1..1_000 => format!("{ms} ms"),
        _ => format!("{:.1} s", took.as_secs_f64()),
    }
}

/// A sentence, broken where it is too long for a line, with the time at the right of its last.
fn line(sentence: &str, time: &str) -> String {
    let (mut told, mut row) = (String::new(), " ".to_owned());
    for word in sentence.split(' ') {
        if row.chars().count() + word.chars().count() >= WIDTH - TIME {
            told += &format!("{row}\n");
            row = "   ".to_owned();
        }
        row += &format!(" {word}");
    }
    format!("{told}{row:<0$}{time:>TIME$}", WIDTH - TIME)
}
