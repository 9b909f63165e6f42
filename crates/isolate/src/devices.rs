//! Devices of the host that a right names: looked at before anything is made, and bound in by their exact node.
//!
//! Nothing else brings a device into a sandbox: not an image's layers (they are unpacked without), not its config, not a
//! folder that is shown (its mount has no devices).

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use hotcell_launcher::plan::Step;
use hotcell_policy::{Access, Accesses, Rights};
use hotcell_sys::mount;
use hotcell_types::{Enforcement, Wall};

use crate::error::IsolateError;
use crate::host::Host;
use crate::landlock::fs;
use crate::plan::{Plan, c_text};

/// A node that will be bound in.
#[derive(Debug)]
pub(crate) struct Device {
    /// Its path, the same outside and inside.
    node: String,
    accesses: Accesses,
    device: u64,
    inode: u64,
}

/// Looks at every device that the rights name.
///
/// # Errors
/// [`IsolateError::Device`] for what is no plain device, is never granted, or cannot be opened by whoever will use it.
pub(crate) fn look(rights: &Rights, host: &Host) -> Result<Vec<Device>, IsolateError> {
    rights.devices().map(|(node, accesses)| Device::look(node, accesses, host)).collect()
}

impl Device {
    fn look(node: &str, accesses: Accesses, host: &Host) -> Result<Self, IsolateError> {
        let refuse = |why: String, remedy| IsolateError::Device { node: node.to_owned(), why, remedy };
        let exact = "name an existing node of a character device by its exact path";
        let found = std::fs::symlink_metadata(node).map_err(|error| refuse(error.to_string(), exact))?;
        if !found.file_type().is_char_device() {
            let kind =
                if found.file_type().is_block_device() { "a disk, whose files are others'" } else { "no device" };
            return Err(refuse(format!("it is {kind}"), exact));
        }
        let (major, minor) = (rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev()));
        if let Some(what) = never(major, minor) {
            return Err(refuse(format!("it is {what}"), "leave that right out: it would lead around every wall"));
        }
        // As root the sandbox has an id that is nobody's: it opens what everyone may open.
        let wanted = u32::from(accesses.has(Access::Read)) * 4 + u32::from(accesses.has(Access::Write)) * 2;
        let for_everyone = found.mode() & wanted == wanted;
        let mut rights = rustix::fs::Access::empty();
        rights.set(rustix::fs::Access::READ_OK, accesses.has(Access::Read));
        rights.set(rustix::fs::Access::WRITE_OK, accesses.has(Access::Write));
        if host.is_root && !for_everyone {
            let remedy = "let a user run the task who may open the node by its group; a sandbox of root's has an id that is \
                          nobody's";
            return Err(refuse("not everyone may open it so".to_owned(), remedy));
        }
        rustix::fs::access(node, rights).map_err(|error| {
            refuse(format!("you may not open it so ({error})"), "grant only devices that you may open yourself")
        })?;
        if accesses != Accesses::READ_WRITE && host.landlock() != Enforcement::Full {
            // Only Landlock tells one from the other: a mount that is read-only lets devices be written to.
            let why = format!("{accesses} alone over `{node}` needs it whole");
            let remedy = "use Linux 6.12 or newer with Landlock, or grant READ and WRITE".to_owned();
            return Err(IsolateError::HostLacks { wall: Wall::Landlock, why, remedy });
        }
        Ok(Self { node: node.to_owned(), accesses, device: found.dev(), inode: found.ino() })
    }

    /// Whether it can be read only.
    pub(crate) fn is_read_only(&self) -> bool {
        !self.accesses.has(Access::Write)
    }

    /// Its path.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// The steps that bind it in; `made` are the folders below `dev` that are there already.
    pub(crate) fn attach(&self, plan: &mut Plan, made: &mut Vec<String>) -> Result<(), IsolateError> {
        let at = self.node.trim_start_matches('/');
        let is_base = hotcell_policy::BASE_DEVICES.contains(&self.node.as_str());
        if is_base {
            return Ok(());
        }
        plan.parents(at, made)?;
        let (source, path) = (c_text(&self.node)?, c_text(at)?);
        plan.push(Step::File { path: &path, mode: 0o666, content: b"" });
        plan.push(Step::Bind {
            source: &source,
            path: &path,
            attributes: mount::ATTR_NOSUID | mount::ATTR_NOEXEC,
            device: self.device,
            inode: self.inode,
        });
        Ok(())
    }

    /// Its Landlock rights: commands to a device change it, so that they come with WRITE.
    pub(crate) fn landlock(&self) -> u64 {
        let commands = if self.is_read_only() { 0 } else { fs::IOCTL_DEV };
        crate::landlock::of_accesses(self.accesses, false) | commands
    }
}

/// Devices that are never granted, whatever their name.
fn never(major: u32, minor: u32) -> Option<&'static str> {
    match (major, minor) {
        (1, 1 | 2) => Some("the machine's memory"),
        (1, 4) => Some("the machine's input and output ports"),
        (1, 11) => Some("the log of the kernel"),
        (4 | 5 | 136..=143, _) => Some("a terminal of the host"),
        (10, 144) => Some("the machine's lasting settings"),
        (202, _) => Some("the registers of the processor"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::never;

    #[test]
    fn memory_ports_terminals_and_registers_are_never_granted_under_any_name() {
        for (major, minor) in
            [(1, 1), (1, 2), (1, 4), (1, 11), (4, 0), (5, 0), (5, 2), (136, 3), (143, 0), (10, 144), (202, 1)]
        {
            assert!(never(major, minor).is_some(), "{major}:{minor}");
        }
        // Nothing at all, zeroes, FUSE, KVM, a tunnel.
        for (major, minor) in [(1, 3), (1, 5), (10, 229), (10, 232), (10, 200)] {
            assert!(never(major, minor).is_none(), "{major}:{minor}");
        }
    }
}
