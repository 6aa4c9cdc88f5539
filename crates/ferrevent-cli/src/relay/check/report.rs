//! What a check finds, line by line.

use std::process::ExitCode;

/// What was found so far; each finding is told at once.
#[derive(Default)]
pub(super) struct Report {
    problems: u32,
    explanation: String,
}

impl Report {
    pub(super) fn ok(&mut self, what: &str, text: impl AsRef<str>) {
        tell("ok", what, text.as_ref());
    }

    /// Something that a relay would start in spite of.
    pub(super) fn warning(&mut self, what: &str, text: impl AsRef<str>) {
        tell("warning", what, text.as_ref());
    }

    /// Something that keeps a relay from starting, or from working.
    pub(super) fn problem(&mut self, what: &str, text: impl AsRef<str>) {
        self.problems += 1;
        tell("problem", what, text.as_ref());
    }

    /// How many problems were found so far.
    pub(super) fn problems(&self) -> u32 {
        self.problems
    }

    /// What the relay would do.
    pub(super) fn explanation(&mut self, text: String) {
        self.explanation = text;
    }

    /// The last word.
    pub(super) fn outcome(self) -> ExitCode {
        let explanation = self.explanation;
        match self.problems {
            0 => {
                println!("\nIt {explanation}.");
                return ExitCode::SUCCESS;
            }
            1 => println!(
                "\nNot ready: there is a problem, see above. Without it, it {explanation}."
            ),
            many => println!(
                "\nNot ready: there are {many} problems, see above. Without them it {explanation}."
            ),
        }
        ExitCode::FAILURE
    }
}

fn tell(grade: &str, what: &str, text: &str) {
    println!("{grade:<8} {what:<8} {text}");
}
