//! `hotcell explain`: what a code means.

use std::io::{self, Write};

use clap::Args;
use hotcell_inspect::{FindingKind, SchemaProblem};
use hotcell_types::Exit;
use serde::Serialize;

use crate::app::App;
use crate::failure::Failure;
use crate::look::{self, Language};
use crate::print;

/// Tell what the code of an error means, and what to do.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The code, as CRY-044.
    #[arg(value_name = "CODE", required_unless_present = "all")]
    code: Option<String>,
    /// Tell of every code there is.
    #[arg(long, conflicts_with = "code")]
    all: bool,
}

/// A code and what it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Explanation {
    code: &'static str,
    title: &'static str,
    meaning: &'static str,
    remedy: &'static str,
    /// The statuses that a command which meets it can exit with; none where it does not change the status.
    exit: Vec<u8>,
}

pub(crate) fn run(arguments: &Arguments, app: &App) -> Result<Exit, Failure> {
    let Some(code) = &arguments.code else { return tell_all(app) };
    let wanted = code.trim().to_uppercase();
    let found = all().find(|explanation| explanation.code == wanted).ok_or_else(|| {
        Failure::not_found(
            format!("no error has the code `{code}`"),
            "give a code as errors and receipts show it: three letters, a dash, three digits, as CRY-044; \
             `hotcell explain --all` lists them",
        )
    })?;
    match app.json {
        true => print::json(&found)?,
        false => page(&found, &mut print::out())?,
    }
    Ok(Exit::Yes)
}

/// What to do about an error or finding of this code.
pub(crate) fn remedy(code: &str) -> Option<&'static str> {
    all().find(|explanation| explanation.code == code).map(|explanation| explanation.remedy)
}

fn tell_all(app: &App) -> Result<Exit, Failure> {
    let mut explanations: Vec<_> = all().collect();
    explanations.sort_by_key(|explanation| explanation.code);
    if app.json {
        print::json(&explanations)?;
        return Ok(Exit::Yes);
    }
    let mut to = print::out();
    for (place, explanation) in explanations.iter().enumerate() {
        if place > 0 {
            writeln!(to)?;
        }
        page(explanation, &mut to)?;
    }
    Ok(Exit::Yes)
}

fn page(explanation: &Explanation, to: &mut dyn Write) -> io::Result<()> {
    let Explanation { code, title, meaning, remedy, exit } = explanation;
    let exit: Vec<_> = exit.iter().map(u8::to_string).collect();
    if let (Language::Chinese, Some([title, meaning, remedy])) = (look::language(), in_chinese(code)) {
        let exit = if exit.is_empty() { "不因此改变".to_owned() } else { exit.join(" 或 ") };
        return writeln!(to, "{code}：{title}\n\n{meaning}\n\n处理办法：{remedy}。\n退出状态：{exit}。");
    }
    let exit = if exit.is_empty() { "not changed by it".to_owned() } else { exit.join(" or ") };
    writeln!(to, "{code}: {title}\n\n{meaning}\n\nWhat to do: {remedy}.\nExit status: {exit}.")
}

/// Title, meaning and remedy of a code in Chinese.
pub(crate) fn in_chinese(code: &str) -> Option<[&'static str; 3]> {
    let block = CHINESE.split("\n\n").find(|block| block.trim_start().starts_with(code))?;
    let mut lines = block.trim().lines();
    let (_, title) = lines.next()?.split_once(' ')?;
    let (meaning, remedy) = match (lines.next()?, lines.next()) {
        (meaning, Some(remedy)) => (meaning, remedy),
        (remedy, None) => (of_inspection_in_chinese(code), remedy),
    };
    Some([title, meaning, remedy.strip_prefix("> ")?])
}

fn of_inspection_in_chinese(code: &str) -> &'static str {
    match code.get(..5) {
        Some("INS-0") => "任务声明的输出不成立，或无法检查。没有运行任何程序。",
        Some("INS-1") => "工作负载写出的表格与任务的声明不符。消息会指出行和列，但从不显示其值。没有放行任何输出。",
        Some("INS-5") => {
            "将要离开的内容里有个人数据或秘密，或无法在界限内解码。消息会指出种类和位置，从不显示其值。没有放行任何输出。"
        }
        Some("INS-2") => "工作负载在输出目录中留下了不允许离开的内容。没有放行任何输出。",
        _ => "工作负载打印的内容不允许离开。它已被扣留，回执中有说明。",
    }
}

/// Every code there is: those of our table, and those of inspection, which has a table of its own.
fn all() -> impl Iterator<Item = Explanation> {
    let findings = FindingKind::ALL.iter().map(|kind| of_inspection(kind.code(), kind.what(), kind.remedy()));
    let problems = SchemaProblem::ALL.iter().map(|kind| of_inspection(kind.code(), kind.what(), kind.remedy()));
    CODES.split("\n\n").filter_map(read).chain(problems).chain(findings)
}

fn of_inspection(code: &'static str, title: &'static str, remedy: &'static str) -> Explanation {
    let (meaning, exit) = match code.get(..5) {
        Some("INS-0") => {
            ("The task declares an output that cannot be, or not be checked. Nothing was run.", Some(Exit::Usage))
        }
        Some("INS-1") => (
            "A table that the workload wrote is not what the task declares. The message names the row and the column, \
             never the value. No output was released.",
            Some(Exit::Refused),
        ),
        Some("INS-5") => (
            "What would leave holds personal data or a secret, or cannot be decoded within the bounds. The message tells \
             kind and place, never the value. No output was released; a stream was withheld.",
            Some(Exit::Refused),
        ),
        Some("INS-2") => (
            "Something that the workload left in the output folder may not leave. No output was released.",
            Some(Exit::Refused),
        ),
        _ => ("What the workload printed may not leave. It was withheld, which the receipt says.", None),
    };
    Explanation { code, title, meaning, remedy, exit: exit.map(Exit::status).into_iter().collect() }
}

/// One block of the table: code and title, meaning, remedy; and `= STATUS...` where that is not 125.
fn read(block: &'static str) -> Option<Explanation> {
    let mut lines = block.trim().lines();
    let (code, title) = lines.next()?.split_once(' ')?;
    let (meaning, remedy) = (lines.next()?, lines.next()?.strip_prefix("> ")?);
    let exit = match lines.next() {
        None => vec![Exit::Failed.status()],
        Some(line) => line.strip_prefix("= ")?.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?,
    };
    lines.next().is_none().then_some(Explanation { code, title, meaning, remedy, exit })
}

/// The table: a block for each code, with an empty line between them.
const CODES: &str = include_str!("codes.txt");

/// The same in Chinese, without the statuses. Where the meaning follows from the code, it is left out.
const CHINESE: &str = include_str!("codes.zh-CN.txt");

#[cfg(test)]
mod tests;
