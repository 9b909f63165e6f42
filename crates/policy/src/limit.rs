//! Limits: what a sandbox may use, in which unit, and how far above its default a value may be asked for.

use std::fmt;
use std::time::Duration;

use hotcell_types::{ByteSize, Wall, parse_duration};
use serde::{Deserialize, Serialize};

use crate::Origin;

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident = $label:literal, $unit:ident, $range:expr;)*) => {
        /// The name of a limit, as `--limit` and the table `[limits]` take it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum LimitKey {
            $($(#[$doc])* #[serde(rename = $label)] $name,)*
        }

        impl LimitKey {
            /// Every limit, in the order in which they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name.
            pub fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }

            /// What its numbers count.
            pub fn unit(self) -> Unit {
                match self { $(Self::$name => Unit::$unit,)* }
            }

            /// The least and the greatest value that means anything, in its unit.
            pub(crate) fn range(self) -> (u64, u64) {
                match self { $(Self::$name => $range,)* }
            }
        }
    };
}

limits! {
    /// Memory of all processes together, without swap.
    Memory = "memory", Bytes, (4 << 20, 1 << 50);
    /// Processes and threads at once.
    Pids = "pids", Count, (1, 1 << 22);
    /// Processors, as a decimal: `1.5` is one and a half.
    Cpu = "cpu", MilliCpus, (10, 4_096_000);
    /// Time by the clock, from the start of the workload.
    Wall = "wall", Millis, (100, 366 * 86_400_000);
    /// Room of `/scratch`, which is `/tmp` and `/dev/shm` too.
    Scratch = "scratch", Bytes, (1 << 16, 1 << 50);
    /// Room of `/output` while the workload runs.
    Output = "output", Bytes, (1 << 16, 1 << 50);
    /// Files that may leave, where the task declares none.
    OutputFiles = "output_files", Count, (0, 1 << 20);
    /// Bytes that may leave, all files together.
    OutputBytes = "output_bytes", Bytes, (0, 1 << 50);
    /// Bytes of each standard stream that are kept for inspection; a live stream is not bounded by it.
    StreamBytes = "stream_bytes", Bytes, (0, 1 << 40);
    /// Open descriptors of one process.
    OpenFiles = "open_files", Count, (8, 1 << 20);
    /// Size of one file that the workload writes; a page at least, which the sandbox's own start needs.
    FileSize = "file_size", Bytes, (4096, 1 << 50);
}

/// What the numbers of a limit count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes; written `512MiB`.
    Bytes,
    /// Things; written as a whole number.
    Count,
    /// Thousandths of a processor; written as a decimal number of processors.
    MilliCpus,
    /// Milliseconds; written `60s`, `15m`, `500ms`.
    Millis,
}

/// How well the host must be able to keep a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// What the host offers without a control group will do: watched, and reported as partial.
    PartialOk,
    /// The kernel must keep it; else the task is refused.
    Full,
}

/// One limit of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The value in force, in the unit of its key.
    pub(crate) value: u64,
    /// The greatest value that the local user may ask for.
    pub(crate) max: u64,
    /// How well it must be kept.
    pub(crate) enforcement: Demand,
    /// Who set the value.
    pub(crate) origin: Origin,
    /// Who set the maximum.
    pub(crate) max_origin: Origin,
    /// Who set the demand.
    pub(crate) enforcement_origin: Origin,
}

impl Limit {
    /// The value in force, in the unit of its key.
    pub fn value(&self) -> u64 {
        self.value
    }

    /// The greatest value that the local user may ask for.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// How well the host must keep it.
    pub fn enforcement(&self) -> Demand {
        self.enforcement
    }

    /// Who set the value.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

/// The limits of a profile: one for each [`LimitKey`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits(pub(crate) [Limit; LimitKey::ALL.len()]);

impl Limits {
    /// The limit of this name.
    pub fn of(&self, key: LimitKey) -> &Limit {
        // The array has one element for each variant, and a variant's number is its place in `ALL`.
        &self.0[key as usize]
    }

    pub(crate) fn of_mut(&mut self, key: LimitKey) -> &mut Limit {
        &mut self.0[key as usize]
    }

    /// Memory of all processes together.
    pub fn memory(&self) -> ByteSize {
        ByteSize(self.of(LimitKey::Memory).value)
    }

    /// Processes and threads at once.
    pub fn pids(&self) -> u64 {
        self.of(LimitKey::Pids).value
    }

    /// Processors, in thousandths.
    pub fn cpu_millis(&self) -> u64 {
        self.of(LimitKey::Cpu).value
    }

    /// Time by the clock.
    pub fn wall(&self) -> Duration {
        Duration::from_millis(self.of(LimitKey::Wall).value)
    }

    /// Room of `/scratch`.
    pub fn scratch(&self) -> ByteSize {
        ByteSize(self.of(LimitKey::Scratch).value)
    }

    /// Room of `/output` while the workload runs.
    pub fn output(&self) -> ByteSize {
        ByteSize(self.of(LimitKey::Output).value)
    }

    /// Files that may leave.
    pub fn output_files(&self) -> u64 {
        self.of(LimitKey::OutputFiles).value
    }

    /// Bytes that may leave.
    pub fn output_bytes(&self) -> ByteSize {
        ByteSize(self.of(LimitKey::OutputBytes).value)
    }

    /// Bytes of each standard stream that are kept for inspection.
    pub fn stream_bytes(&self) -> ByteSize {
        ByteSize(self.of(LimitKey::StreamBytes).value)
    }

    /// Open descriptors of one process.
    pub fn open_files(&self) -> u64 {
        self.of(LimitKey::OpenFiles).value
    }

    /// Size of one file that the workload writes.
    pub fn file_size(&self) -> ByteSize {
        ByteSize(self.of(LimitKey::FileSize).value)
    }

    /// Name and limit, in the order in which they are shown.
    pub fn iter(&self) -> impl Iterator<Item = (LimitKey, &Limit)> {
        LimitKey::ALL.iter().map(|key| (*key, self.of(*key)))
    }
}

impl LimitKey {
    /// Reads a value as people write it: `512MiB`, `64`, `1.5`, `15m`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(self, text: &str) -> Result<u64, String> {
        if text.starts_with('+') {
            return Err(format!("`{}` begins with a sign", brief(text)));
        }
        let value = match self.unit() {
            Unit::Bytes => text.parse::<ByteSize>().map_err(|error| error.to_string())?.bytes(),
            Unit::Count => text.parse().map_err(|_| format!("`{}` is not a whole number", brief(text)))?,
            Unit::MilliCpus => parse_decimal(text)
                .ok_or_else(|| format!("`{}` is not a number of processors such as 1.5", brief(text)))?,
            Unit::Millis => {
                let time = parse_duration(text).map_err(|error| error.to_string())?;
                u64::try_from(time.as_millis()).map_err(|_| format!("`{}` is too long a time", brief(text)))?
            }
        };
        let (least, greatest) = self.range();
        if (least..=greatest).contains(&value) {
            Ok(value)
        } else {
            Err(format!("{} must lie between {} and {}", self.label(), self.show(least), self.show(greatest)))
        }
    }

    /// Writes a value for people; the result can be read back.
    pub fn show(self, value: u64) -> String {
        match self.unit() {
            Unit::Bytes => show_bytes(value),
            Unit::Count => value.to_string(),
            Unit::MilliCpus if value.is_multiple_of(1000) => (value / 1000).to_string(),
            Unit::MilliCpus => {
                let text = format!("{}.{:03}", value / 1000, value % 1000);
                text.trim_end_matches('0').to_owned()
            }
            Unit::Millis => {
                let (factor, unit) = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")]
                    .into_iter()
                    .find(|(factor, _)| value >= *factor && value.is_multiple_of(*factor))
                    .unwrap_or((1, "ms"));
                format!("{}{unit}", value / factor)
            }
        }
    }

    /// The wall that keeps this limit.
    pub fn wall(self) -> Wall {
        match self {
            Self::Memory => Wall::MemoryLimit,
            Self::Pids => Wall::PidsLimit,
            Self::Cpu => Wall::CpuLimit,
            Self::Wall => Wall::WallLimit,
            Self::Scratch
            | Self::Output
            | Self::OutputFiles
            | Self::OutputBytes
            | Self::StreamBytes
            | Self::OpenFiles
            | Self::FileSize => Wall::StorageLimit,
        }
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

impl std::str::FromStr for LimitKey {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|key| key.label() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|key| key.label()).collect();
            format!("`{}` is not a limit (there are {})", brief(text), names.join(", "))
        })
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PartialOk => "partial-ok",
            Self::Full => "full",
        })
    }
}

/// The start of what a user wrote, safe to print.
pub(crate) fn brief(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

/// A decimal with at most three places, in thousandths.
fn parse_decimal(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    let part: u64 = format!("{part:0<3}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(part)
}

/// The largest unit of which it is a whole number, without a space: `512MiB`.
fn show_bytes(value: u64) -> String {
    let (shift, unit) = [(40u32, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")]
        .into_iter()
        .find(|(shift, _)| value > 0 && value.trailing_zeros() >= *shift)
        .unwrap_or((0, "B"));
    format!("{}{unit}", value >> shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_stands_at_its_own_place() {
        for (place, key) in LimitKey::ALL.iter().enumerate() {
            assert_eq!(*key as usize, place);
            assert_eq!(key.label().parse(), Ok(*key));
        }
    }

    #[test]
    fn values_read_back_as_shown() {
        for (key, text, value, shown) in [
            (LimitKey::Memory, "512MiB", 512 << 20, "512MiB"),
            (LimitKey::Memory, "1000MB", 1_000_000_000, "1000000000B"),
            (LimitKey::Cpu, "1.5", 1500, "1.5"),
            (LimitKey::Cpu, "2", 2000, "2"),
            (LimitKey::Cpu, "0.05", 50, "0.05"),
            (LimitKey::Pids, "64", 64, "64"),
            (LimitKey::Wall, "15m", 900_000, "15m"),
            (LimitKey::Wall, "90s", 90_000, "90s"),
            (LimitKey::Wall, "500ms", 500, "500ms"),
            (LimitKey::OutputFiles, "0", 0, "0"),
        ] {
            assert_eq!(key.parse(text), Ok(value), "{text}");
            assert_eq!(key.show(value), shown);
            assert_eq!(key.parse(&key.show(value)), Ok(value), "{}", key.show(value));
        }
    }

    #[test]
    fn values_that_mean_nothing_are_refused() {
        for (key, text, says) in [
            (LimitKey::Memory, "lots", "is not a size"),
            (LimitKey::Memory, "1KiB", "must lie between 4MiB"),
            (LimitKey::Memory, "9999TiB", "must lie between"),
            (LimitKey::Pids, "0", "must lie between 1"),
            (LimitKey::Pids, "-1", "is not a whole number"),
            (LimitKey::Cpu, "1.2345", "is not a number of processors"),
            (LimitKey::Cpu, ".5", "is not a number of processors"),
            (LimitKey::Cpu, "1.", "is not a number of processors"),
            (LimitKey::Cpu, "1e3", "is not a number of processors"),
            (LimitKey::Cpu, "NaN", "is not a number of processors"),
            (LimitKey::Cpu, "0", "must lie between 0.01"),
            (LimitKey::Wall, "soon", "is not a time"),
            (LimitKey::Wall, "0s", "must lie between 100ms"),
        ] {
            let error = key.parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
