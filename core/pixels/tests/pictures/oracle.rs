//! pydicom, asked for files one after the other.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub use clavicle_samples::files::test_data as data;

pub fn pydicom() -> PathBuf {
    data("pydicom-3.0.2").join("pydicom/data/test_files")
}

/// Runs a program of dcmtk or of JPEG XL to its end.
pub fn run(program: &str, arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> std::process::Output {
    let mut command = Command::new(program);
    command.args(arguments.iter().map(|argument| argument.as_ref()));
    let output = command.output().unwrap_or_else(|_| panic!("{program} is not there: run .ci/test-data first"));
    assert!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// What pydicom says of a file.
pub struct Answer {
    /// The name of an exception.
    pub error: Option<String>,
    pub numbers: BTreeMap<String, Vec<f64>>,
    pub texts: BTreeMap<String, String>,
    /// The samples of all frames, in the order of pixels.
    pub samples: Vec<f64>,
}

pub struct Oracle {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Oracle {
    pub fn start() -> Self {
        let python = data("decoders").join("bin/python");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures/dump.py");
        let mut child = Command::new(python)
            .arg("-Wignore")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python is not there: run .ci/test-data first");
        let (questions, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, questions, answers }
    }

    pub fn ask(&mut self, path: &Path) -> Answer {
        self.asked(path).expect("pydicom ended")
    }

    /// What it says; none when it ended on the file.
    pub fn asked(&mut self, path: &Path) -> Option<Answer> {
        writeln!(self.questions, "{}", path.display()).and_then(|()| self.questions.flush()).ok()?;
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let head: serde_json::Value = serde_json::from_str(&line).ok()?;
        let mut answer = Answer { error: None, numbers: BTreeMap::new(), texts: BTreeMap::new(), samples: Vec::new() };
        for (name, value) in head.as_object().unwrap() {
            match value {
                serde_json::Value::Array(values) => {
                    let values = values.iter().map(|value| value.as_f64().unwrap()).collect();
                    answer.numbers.insert(name.clone(), values);
                }
                serde_json::Value::String(text) if name == "error" => answer.error = Some(text.clone()),
                serde_json::Value::String(text) if name != "kind" => {
                    answer.texts.insert(name.clone(), text.clone());
                }
                _ => {}
            }
        }
        if let Some(count) = head["count"].as_u64() {
            let mut bytes = vec![0; count as usize * 8];
            self.answers.read_exact(&mut bytes).unwrap();
            let is_float = head["kind"] == "f";
            answer.samples = bytes
                .as_chunks()
                .0
                .iter()
                .map(|eight| if is_float { f64::from_le_bytes(*eight) } else { i64::from_le_bytes(*eight) as f64 })
                .collect();
        }
        Some(answer)
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
