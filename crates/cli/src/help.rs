//! The command line in the reader's language: help and what is wrong with it.

use clap::builder::StyledStr;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command, Parser};
use textwrap::{Options, WordSeparator};

use crate::look::{self, Language};
use crate::{print, words};

/// Reads the command line, or tells what is wrong with it, or help, and ends.
pub(crate) fn parse<P: Parser>() -> P {
    match look::language() {
        Language::English => P::parse(),
        Language::Chinese => parse_in_chinese(),
    }
}

fn parse_in_chinese<P: Parser>() -> P {
    let mut command = in_chinese(P::command(), WIDEST_TEXT.min(look::stdout().width) - INDENT);
    let read = command.try_get_matches_from_mut(std::env::args_os()).and_then(|read| P::from_arg_matches(&read));
    read.unwrap_or_else(|error| {
        let (to_stderr, text) = (error.use_stderr(), error.render().to_string());
        let look = if to_stderr { look::stderr() } else { look::stdout() };
        // Help is told in Chinese already, and the names of commands in it are no phrases.
        let is_help = matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        );
        let text = if is_help { text } else { print::shown(&text, look, Language::Chinese) };
        // Where it cannot be told, the status is all that is left to say.
        let _ = match to_stderr {
            true => std::io::Write::write_all(&mut std::io::stderr().lock(), text.as_bytes()),
            false => std::io::Write::write_all(&mut std::io::stdout().lock(), text.as_bytes()),
        };
        std::process::exit(error.exit_code())
    })
}

/// The same command with texts in Chinese, where the phrase book has them.
fn in_chinese(command: Command, width: u16) -> Command {
    let about = command.get_about().map(|text| told(text, width));
    let long_about = command.get_long_about().map(|text| told(text, width));
    let has_subcommands = command.has_subcommands();
    let mut command = command
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .arg(Arg::new("help").short('h').long("help").action(ArgAction::Help).help("显示帮助"))
        .help_template("{about-with-newline}\n用法：{usage}\n\n{all-args}")
        .subcommand_help_heading("命令")
        .next_line_help(true);
    if command.get_version().is_some() {
        command = command.disable_version_flag(true);
        command =
            command.arg(Arg::new("version").short('V').long("version").action(ArgAction::Version).help("显示版本"));
    }
    if has_subcommands {
        command = command.mut_subcommands(|subcommand| in_chinese(subcommand, width));
    }
    if let Some(about) = about {
        command = command.about(about);
    }
    if let Some(about) = long_about {
        command = command.long_about(about);
    }
    command.mut_args(|argument| argument_in_chinese(argument, width))
}

fn argument_in_chinese(argument: Arg, width: u16) -> Arg {
    let heading = match (argument.get_help_heading(), argument.is_positional()) {
        (Some(heading), _) => words::fixed(heading).unwrap_or("其他选项"),
        (None, true) => "参数",
        (None, false) => "选项",
    };
    let help = argument.get_help().map(|text| told(text, width));
    let long_help = argument.get_long_help().map(|text| told(text, width));
    let argument = argument.help_heading(heading);
    let argument = if let Some(help) = help { argument.help(help) } else { argument };
    if let Some(help) = long_help { argument.long_help(help) } else { argument }
}

/// A text of paragraphs, translated one by one, and broken into lines, which clap itself does at blanks only.
fn told(text: &StyledStr, width: u16) -> String {
    let options = Options::new(usize::from(width)).word_separator(WordSeparator::UnicodeBreakProperties);
    let text = text.to_string();
    let paragraphs = text.split("\n\n").map(|paragraph| match words::whole(&key(paragraph)) {
        Some(translation) => textwrap::fill(&translation, &options),
        None => paragraph.to_owned(),
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// How the phrase book has a paragraph: on one line, without the full stop that clap leaves to some.
fn key(paragraph: &str) -> String {
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}

/// The columns before an option's text.
const INDENT: u16 = 10;

/// No line of help is longer, however wide the terminal.
const WIDEST_TEXT: u16 = 120;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// The commands whose help has to be whole in Chinese. The others are told by this test and may wait.
    const FINISHED: &[&str] = &["demo", "keygen", "seal", "open", "policy", "audit", "explain", "completions"];

    #[test]
    fn help_of_the_finished_commands_is_in_chinese() {
        let command = crate::Arguments::<crate::Command>::command();
        let mut missing = Vec::new();
        missing_in(&command, "hotcell", false, &mut missing);
        for command in command.get_subcommands() {
            missing_in(command, command.get_name(), true, &mut missing);
        }
        let (late, waiting): (Vec<_>, Vec<_>) =
            missing.into_iter().partition(|(command, _)| FINISHED.contains(&command.as_str()));
        for (command, text) in &waiting {
            println!("not yet in Chinese, {command}: {text}");
        }
        assert!(late.is_empty(), "not in crates/cli/src/zh-CN.txt: {late:#?}");
    }

    fn missing_in(command: &Command, name: &str, deep: bool, to: &mut Vec<(String, String)>) {
        let own = command.get_about().into_iter().chain(command.get_long_about());
        let arguments = command.get_arguments();
        let texts =
            own.chain(arguments.flat_map(|argument| argument.get_help().into_iter().chain(argument.get_long_help())));
        for text in texts {
            for paragraph in text.to_string().split("\n\n") {
                if words::whole(&key(paragraph)).is_none() {
                    to.push((name.to_owned(), key(paragraph)));
                }
            }
        }
        if deep {
            command.get_subcommands().for_each(|command| missing_in(command, name, true, to));
        }
    }

    #[test]
    fn the_chinese_command_line_is_sound_and_takes_the_same_words() {
        let chinese = in_chinese(crate::Arguments::<crate::Command>::command(), 70);
        chinese.clone().debug_assert();
        for line in ["hotcell demo --keep x", "hotcell --json explain CRY-001", "hotcell run --input a=b -- true"] {
            let english = crate::Arguments::<crate::Command>::command().try_get_matches_from(line.split(' ')).unwrap();
            let told = chinese.clone().try_get_matches_from(line.split(' ')).unwrap();
            assert_eq!(english.subcommand_name(), told.subcommand_name(), "{line}");
        }
        assert!(chinese.clone().try_get_matches_from(["hotcell", "no-such"]).is_err());
    }
}
