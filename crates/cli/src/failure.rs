//! How a command fails: one form for all errors, for people and for programs.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hotcell_types::{Exit, Explain};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, ThemeCharacters, ThemeStyles};
use serde_json::{Value, json};

use crate::explain;
use crate::look::{self, Language};
use crate::print::{self, plain};

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An error with code and remedy.
    Explained(Box<dyn Explain + Send + Sync>),
    /// Whoever read our standard output has left: nothing is wrong, and there is nobody to tell.
    ReaderLeft,
}

impl Failure {
    /// A command line that cannot be meant so.
    pub(crate) fn usage(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        CliError::Usage { what: what.into(), remedy: remedy.into() }.into()
    }

    /// Something named does not exist.
    pub(crate) fn not_found(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        CliError::NotFound { what: what.into(), remedy: remedy.into() }.into()
    }

    /// A file cannot be used; `operation` is a verb: "read", "write".
    pub(crate) fn file(operation: impl Into<String>, path: &Path, source: io::Error) -> Self {
        CliError::File { operation: operation.into(), path: path.to_owned(), source }.into()
    }

    /// The system refused; `operation` is what was being done: "making a pipe".
    pub(crate) fn system(operation: impl Into<String>, source: io::Error) -> Self {
        CliError::System { operation: operation.into(), source }.into()
    }

    /// The error, where there is one to tell.
    pub(crate) fn error(&self) -> Option<&dyn Explain> {
        match self {
            Self::Explained(error) => Some(&**error),
            Self::ReaderLeft => None,
        }
    }

    /// The status that the process exits with.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Explained(error) => error.exit().status(),
            Self::ReaderLeft => READER_LEFT,
        }
    }

    /// Tells it: on standard error for people, on standard output as JSON.
    ///
    /// Where it cannot be told, the status is all that is left to say; so errors of writing are dropped.
    pub(crate) fn tell(&self, json: bool) {
        let Some(error) = self.error() else { return };
        let _ = match json {
            true => writeln!(io::stdout().lock(), "{:#}", as_json(error)),
            false => io::stderr().lock().write_all(as_text(error).as_bytes()),
        };
    }
}

/// An error as the object that `--json` prints.
pub(crate) fn as_json(error: &dyn Explain) -> Value {
    json!({ "error": error_json(error) })
}

/// The same without the word `error` around it.
pub(crate) fn error_json(error: &dyn Explain) -> Value {
    json!({
        "code": error.code(),
        "message": error.to_string(),
        "causes": causes(error),
        "remedy": error.remedy(),
        "exit": error.exit().status(),
    })
}

/// An error as people read it: code, what, why, what to do.
fn as_text(error: &dyn Explain) -> String {
    let (look, language) = (look::stderr(), look::language());
    let theme = match (look.is_terminal || look.colour, look.unicode) {
        (false, _) => GraphicalTheme::none(),
        (true, unicode) => GraphicalTheme {
            characters: if unicode { ThemeCharacters::unicode() } else { ThemeCharacters::ascii() },
            styles: if look.colour { ThemeStyles::ansi() } else { ThemeStyles::none() },
        },
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_wrap_lines(look.is_terminal)
        .with_width(usize::from(look.width))
        .with_cause_chain();
    let handler = match language {
        // Names of rules and files stay whole.
        Language::English => handler
            .with_word_separator(textwrap::WordSeparator::AsciiSpace)
            .with_word_splitter(textwrap::WordSplitter::NoHyphenation),
        Language::Chinese => handler,
    };
    let mut text = String::new();
    let shown = Shown::new(error, &|text| print::shown(&plain(text), look, language)).in_language_of_code(language);
    match handler.render_report(&mut text, &shown) {
        Ok(()) => with_help(&text, &print::shown(HELP, look, language)),
        Err(fmt::Error) => format!("{}: {}\n  help: {}\n", error.code(), error, error.remedy()),
    }
}

/// A report with the word before its remedy in the reader's language: the one that the remedy's mark follows, for a
/// message may have that word as well.
fn with_help(report: &str, said: &str) -> String {
    let Some((before, remedy)) = report.split_once(print::OPEN) else { return report.to_owned() };
    let before = before.rsplit_once(HELP).map_or(before.to_owned(), |(text, colour)| format!("{text}{said}{colour}"));
    before + remedy
}

/// What the reports' library writes before a remedy.
const HELP: &str = "help: ";

/// The texts of what caused an error, from near to far.
pub(crate) fn causes(error: &dyn Explain) -> Vec<String> {
    let mut texts = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        texts.push(cause.to_string());
        next = cause.source();
    }
    texts
}

/// What is wrong with the command line and the files that it names; the engines have errors of their own.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("{what}")]
    Usage { what: String, remedy: String },
    #[error("cannot {operation} `{}`", path.display())]
    File { operation: String, path: PathBuf, source: io::Error },
    #[error("{operation} failed")]
    System { operation: String, source: io::Error },
    #[error("{what}")]
    NotFound { what: String, remedy: String },
    #[error("cannot write to standard output")]
    Output { source: io::Error },
}

impl Explain for CliError {
    fn code(&self) -> &'static str {
        match self {
            Self::Usage { .. } => "CLI-001",
            Self::File { .. } => "CLI-002",
            Self::System { .. } => "CLI-003",
            Self::NotFound { .. } => "CLI-004",
            Self::Output { .. } => "CLI-005",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Usage { remedy, .. } | Self::NotFound { remedy, .. } => remedy.clone(),
            Self::File { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "check the name: there is no such file or folder".to_owned(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space there".to_owned(),
                _ => "check that it is a file, and that you may use it".to_owned(),
            },
            Self::System { .. } => "mend what the operating system reports, and try again".to_owned(),
            Self::Output { .. } => "check where standard output leads to".to_owned(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. } => Exit::Usage,
            Self::NotFound { .. } => Exit::No,
            Self::File { .. } | Self::System { .. } | Self::Output { .. } => Exit::Failed,
        }
    }
}

/// From each error that a command can meet. (One blanket implementation over [`Explain`] would exclude the one
/// for [`io::Error`] below.)
macro_rules! explained {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Explained(Box::new(error))
            }
        })*
    };
}

explained!(
    CliError,
    crate::defect::Defect,
    crate::new_file::NewFileError,
    crate::open::SealedModel,
    crate::pool::PoolError,
    crate::receipt_file::Taken,
    hotcell_audit::LogError,
    hotcell_audit::NoteError,
    hotcell_audit::VerifyError,
    hotcell_audit::export::ExportError,
    hotcell_audit::personal::PersonalError,
    hotcell_audit::receipt::ReceiptError,
    hotcell_audit::witness::WitnessError,
    hotcell_crypto::age_seal::OpenError,
    hotcell_crypto::age_seal::SealError,
    hotcell_crypto::keyfile::KeyFileError,
    hotcell_disclosure::DisclosureError,
    hotcell_inspect::fingerprint::BuildError,
    hotcell_inspect::scan::DetectorError,
    hotcell_isolate::IsolateError,
    hotcell_oci::OciError,
    hotcell_policy::Denial,
    hotcell_policy::PolicyError,
    hotcell_policy::ProfileError,
    hotcell_task::TaskError,
    hotcell_vault::PackageError,
);

impl From<io::Error> for Failure {
    /// For what is written to our own standard output; other files are named by [`Failure::file`].
    fn from(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderLeft,
            _ => CliError::Output { source }.into(),
        }
    }
}

/// An error as `miette` wants it, with control characters made visible: messages carry names of files and texts
/// of others.
#[derive(Debug)]
struct Shown {
    message: String,
    cause: Option<Box<Shown>>,
    code: Option<&'static str>,
    help: Option<String>,
}

impl Shown {
    fn new(error: &dyn Explain, say: &dyn Fn(&str) -> String) -> Self {
        let cause = error.source().map(|cause| Self::cause(cause, say));
        let help = Some(say(&error.remedy()));
        Self { message: say(&error.to_string()), cause, code: Some(error.code()), help }
    }

    /// What the phrase book does not have is told in the words of the code's page, with the original beside it.
    fn in_language_of_code(mut self, language: Language) -> Self {
        let page = self.code.and_then(explain::in_chinese).filter(|_| language == Language::Chinese);
        if let Some([title, _, remedy]) = page {
            if !is_chinese(&self.message) {
                self.message = format!("{title}（{}）", self.message);
            }
            self.help = self.help.map(|help| if is_chinese(&help) { help } else { format!("{remedy}（{help}）") });
        }
        self
    }

    fn cause(error: &(dyn Error + 'static), say: &dyn Fn(&str) -> String) -> Box<Self> {
        let cause = error.source().map(|cause| Self::cause(cause, say));
        Box::new(Self { message: say(&error.to_string()), cause, code: None, help: None })
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Shown {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl Diagnostic for Shown {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.code.map(|code| Box::new(code) as _)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(format!("{}{help}", print::OPEN)) as _)
    }
}

fn is_chinese(text: &str) -> bool {
    text.chars().any(|letter| ('\u{4e00}'..='\u{9fff}').contains(&letter))
}

/// As if SIGPIPE had ended us. Not 0: a check whose answer nobody read did not say yes.
const READER_LEFT: u8 = 128 + 13;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_word_before_the_remedy_is_translated() {
        let error = Failure::not_found("no file `help: x`", "look for help: there");
        let shown = Shown::new(error.error().unwrap(), &|text| text.to_owned());
        let mut report = String::new();
        let handler = GraphicalReportHandler::new_themed(GraphicalTheme::none());
        handler.render_report(&mut report, &shown).unwrap();
        let told = with_help(&report, "建议：");
        assert!(told.contains("no file `help: x`"), "{told}");
        assert!(told.contains("建议：look for help: there") && !told.contains(print::OPEN), "{told}");
    }
}
