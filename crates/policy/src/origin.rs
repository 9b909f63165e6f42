//! Where a value came from.

use std::fmt;

/// Who set a value. Layers are applied in the order of the variants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A profile that is part of Hotcell.
    Builtin(&'static str),
    /// A profile file that the local user named.
    ProfileFile(String),
    /// The project's `hotcell.toml`, which may have come with foreign code.
    Project(String),
    /// A task file, which may have come with foreign code.
    Task(String),
    /// An option on the command line.
    Flag(String),
    /// A rule of the policy, by an obligation.
    Policy,
}

impl Origin {
    /// Whether the local user chose this value themselves. They may choose anything up to the bounds of
    /// the profile; a file that came with the code may only tighten what it finds.
    pub fn is_own_choice(&self) -> bool {
        match self {
            Self::ProfileFile(_) | Self::Flag(_) => true,
            Self::Builtin(_) | Self::Project(_) | Self::Task(_) | Self::Policy => false,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(name) => write!(f, "built-in profile `{name}`"),
            Self::ProfileFile(path) => write!(f, "profile file `{}`", path.escape_debug()),
            Self::Project(path) => write!(f, "project file `{}`", path.escape_debug()),
            Self::Task(path) => write!(f, "task file `{}`", path.escape_debug()),
            Self::Policy => f.write_str("an obligation of the policy"),
            Self::Flag(flag) => write!(f, "`{}`", flag.escape_debug()),
        }
    }
}
