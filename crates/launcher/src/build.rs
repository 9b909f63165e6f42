//! Building the sandbox's file system and other surroundings.

use core::ffi::CStr;

use hotcell_sys::process::{self, Forked};
use hotcell_sys::{Errno, Fd, Result, file, limit, mount, socket, terminal};

use crate::enter::Context;
use crate::message::Message;
use crate::plan::{INNER_ID, Step};

/// Most terminals in one sandbox: enough for a shell with a multiplexer.
const MAX_TERMINALS: &CStr = c"64";

/// A mount of `source`, unattached, on which one owner appears as another. Outside, as root.
pub(crate) fn id_mount(source: &CStr, user: (u64, u64), group: (u64, u64)) -> Result<Fd> {
    let tree = mount::clone_tree(source)?;
    let namespace = id_namespace(user, group)?;
    mount::set_attributes(tree, mount::Reach::Tree, mount::ATTR_IDMAP, Some(namespace))?;
    file::close(namespace);
    Ok(tree)
}

/// One step of building, inside.
pub(crate) fn build(context: &Context<'_>, step: Step<'_>) -> Result<()> {
    match step {
        Step::Root { size, inodes } => {
            mount::make_all_private()?;
            let root = tmpfs(size, inodes, c"0755", false, mount::ATTR_NOSUID | mount::ATTR_NODEV)?;
            // Over the old root, whose paths still lead below it until the pivot.
            mount::attach(root, c"/")?;
            file::change_dir_to(root)
        }
        Step::Dir { path, mode } => file::make_dir_at(Fd::CWD, path, mode as u32),
        Step::Link { target, path } => file::symlink_at(target, Fd::CWD, path),
        Step::File { path, mode, content } => {
            let fd = make_file(path, mode as u32)?;
            file::write_all(fd, content)?;
            file::close(fd);
            Ok(())
        }
        Step::Tmpfs { path, size, inodes, large_pages, attributes } => {
            mount::attach(tmpfs(size, inodes, c"1777", large_pages != 0, attributes)?, path)
        }
        Step::Fuse { path, attributes } => {
            let device = context.fuse?;
            mount::attach(fuse(device, attributes)?, path)?;
            context.say(Message::Handed { step: context.step_number() }, &[device]);
            file::close(device);
            Ok(())
        }
        Step::Bind { source, path, attributes, device, inode } => {
            let tree = mount::clone_tree(source)?;
            if device != 0 && file::identity(tree)? != (device, inode) {
                return Err(Errno::ESTALE);
            }
            attach(tree, path, attributes)
        }
        Step::Attach { place, path, attributes } => attach(context.descriptor(place)?, path, attributes),
        Step::Show { source, path, attributes } => show(source, path, attributes),
        Step::Proc { path } => {
            let fs = mount::fs_open(c"proc")?;
            mount::fs_set(fs, c"hidepid", c"invisible")?;
            mount::fs_set(fs, c"subset", c"pid")?;
            mount::fs_create(fs)?;
            let flags = mount::ATTR_NOSUID | mount::ATTR_NODEV | mount::ATTR_NOEXEC;
            mount::attach(mount::fs_mount(fs, flags)?, path)
        }
        Step::Hand { path, create } => {
            let fd = if create != 0 {
                make_file(path, 0o444)?
            } else {
                file::open_at(Fd::CWD, path, file::O_DIRECTORY | file::O_NOFOLLOW | file::O_CLOEXEC, 0)?
            };
            context.say(Message::Handed { step: context.step_number() }, &[fd]);
            file::close(fd);
            Ok(())
        }
        Step::Restrict { path, attributes } => {
            let fd = file::open_at(Fd::CWD, path, file::O_PATH | file::O_CLOEXEC, 0)?;
            let set = mount::set_attributes(fd, mount::Reach::One, attributes, None);
            file::close(fd);
            match set {
                // Linux before 5.12.
                Err(Errno::ENOSYS) => mount::remount(path, attributes),
                other => other,
            }
        }
        Step::Detach { path } => mount::detach(path),
        Step::Pivot {} => mount::pivot_to_working_dir(),
        Step::HostName { name } => process::set_host_name(name),
        Step::Limit { resource, value } => {
            // Lowered, never raised.
            let hard = limit::hard(resource as u32)?;
            limit::set(resource as u32, value.min(hard))
        }
        Step::Affinity { mask } => {
            let mut words = [0u64; 16];
            for (word, bytes) in words.iter_mut().zip(mask.chunks_exact(8)) {
                *word = u64::from_le_bytes(bytes.try_into().map_err(|_| Errno::EINVAL)?);
            }
            process::set_affinity(0, &words)
        }
        Step::Keyring {} => match process::new_session_keyring() {
            // A kernel without keyrings has none to share.
            Err(Errno::ENOSYS) => Ok(()),
            other => other,
        },
        Step::Join { place } => file::write_all(context.descriptor(place)?, b"0"),
        Step::DieWithParent {} => process::die_with_parent(),
        Step::DropBoundingSet {} => process::drop_bounding_set(),
        Step::Loopback {} => socket::raise_loopback(),
        Step::WidenLoopback { address, mask } => socket::widen_loopback(ipv4(address), ipv4(mask)),
        Step::Listen { address, port, datagrams } => {
            let port = u16::try_from(port).map_err(|_| Errno::EINVAL)?;
            let fd = socket::open_at_ipv4(ipv4(address), port, datagrams != 0)?;
            context.say(Message::Handed { step: context.step_number() }, &[fd]);
            file::close(fd);
            Ok(())
        }
        Step::Replace { path, mode, content } => {
            match file::unlink_at(Fd::CWD, path) {
                Err(Errno::ENOENT) | Ok(()) => {}
                Err(error) => return Err(error),
            }
            let fd = make_file(path, mode as u32)?;
            let written = file::write_all(fd, content);
            file::close(fd);
            written
        }
        Step::Cover { source, path, attributes } => match file::exists(path) {
            Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => attach(mount::clone_tree(source)?, path, attributes),
        },
        Step::Terminals { path } => {
            let fs = mount::fs_open(c"devpts")?;
            mount::fs_set(fs, c"mode", c"0600")?;
            mount::fs_set(fs, c"ptmxmode", c"0666")?;
            mount::fs_set(fs, c"max", MAX_TERMINALS)?;
            mount::fs_create(fs)?;
            mount::attach(mount::fs_mount(fs, mount::ATTR_NOSUID | mount::ATTR_NOEXEC)?, path)
        }
        Step::Terminal { multiplexer, terminal } => {
            let step = context.step_number();
            let controller = terminal::open_controller(multiplexer)?;
            let flags = file::O_RDWR | terminal::O_NOCTTY | file::O_CLOEXEC;
            let follower = file::open_at(Fd::CWD, terminal, flags, 0)?;
            for fd in [controller, follower] {
                context.say(Message::Handed { step }, &[fd]);
                file::close(fd);
            }
            Ok(())
        }
        _ => Err(Errno::EINVAL),
    }
}

/// An address from its number.
fn ipv4(number: u64) -> [u8; 4] {
    (number as u32).to_be_bytes()
}

/// Shows a part of the host's system as the host has it, or nothing where it has none.
fn show(source: &CStr, path: &CStr, attributes: u64) -> Result<()> {
    let is_at_root = !path.to_bytes().contains(&b'/');
    let mut target = [0u8; 256];
    if is_at_root && let Ok(target) = file::read_link(source, &mut target) {
        // /bin and its like, where they are links into /usr.
        let mut text = Text::new();
        text.push(target);
        return file::symlink_at(text.as_c_str()?, Fd::CWD, path);
    }
    let tree = match mount::clone_tree(source) {
        Err(Errno::ENOENT | Errno::EACCES) => return Ok(()),
        other => other?,
    };
    for (end, _) in path.to_bytes().iter().enumerate().filter(|(_, byte)| **byte == b'/') {
        let mut parent = Text::new();
        parent.push(&path.to_bytes()[..end]);
        make_dir_if_missing(parent.as_c_str()?)?;
    }
    match file::kind(tree)? {
        file::Kind::Folder => make_dir_if_missing(path)?,
        _ => file::close(make_file(path, 0o444)?),
    }
    attach(tree, path, attributes)
}

fn make_dir_if_missing(path: &CStr) -> Result<()> {
    match file::make_dir_at(Fd::CWD, path, 0o755) {
        Err(Errno::EEXIST) => Ok(()),
        other => other,
    }
}

fn tmpfs(size: &CStr, inodes: &CStr, mode: &CStr, large_pages: bool, attributes: u64) -> Result<Fd> {
    let fs = mount::fs_open(c"tmpfs")?;
    mount::fs_set(fs, c"size", size)?;
    mount::fs_set(fs, c"nr_inodes", inodes)?;
    mount::fs_set(fs, c"mode", mode)?;
    if large_pages {
        // A kernel that has none refuses the option and takes small ones: the limits are the same.
        let _ = mount::fs_set(fs, c"huge", c"within_size");
    }
    mount::fs_create(fs)?;
    let tree = mount::fs_mount(fs, attributes)?;
    file::close(fs);
    Ok(tree)
}

/// For the sandbox's own user only, with the kernel's own check of access modes.
fn fuse(device: Fd, attributes: u64) -> Result<Fd> {
    let number = |number: u64| {
        let mut text = Text::new();
        text.push_number(number);
        text
    };
    let id = number(INNER_ID.into());
    let fs = mount::fs_open(c"fuse")?;
    mount::fs_set(fs, c"source", c"scratch")?;
    mount::fs_set(fs, c"fd", number(device.0 as u64).as_c_str()?)?;
    mount::fs_set(fs, c"rootmode", c"41777")?;
    mount::fs_set(fs, c"user_id", id.as_c_str()?)?;
    mount::fs_set(fs, c"group_id", id.as_c_str()?)?;
    mount::fs_flag(fs, c"default_permissions")?;
    mount::fs_create(fs)?;
    let tree = mount::fs_mount(fs, attributes)?;
    file::close(fs);
    Ok(tree)
}

fn attach(tree: Fd, path: &CStr, attributes: u64) -> Result<()> {
    let set = match attributes {
        0 => Ok(()),
        _ => mount::set_attributes(tree, mount::Reach::Tree, attributes, None),
    };
    let attached = mount::attach(tree, path);
    file::close(tree);
    match set {
        // Linux before 5.12: the top here, and what is mounted below it by steps of its own.
        Err(Errno::ENOSYS) => attached.and_then(|()| mount::remount(path, attributes)),
        other => other.and(attached),
    }
}

fn make_file(path: &CStr, mode: u32) -> Result<Fd> {
    let flags = file::O_CREAT | file::O_EXCL | file::O_WRONLY | file::O_NOFOLLOW | file::O_CLOEXEC;
    file::open_at(Fd::CWD, path, flags, mode)
}

/// Maps one id inside to one outside, for a process that was just born into a user namespace.
pub(crate) fn write_id_maps(pid: i32, user: (u64, u64), group: (u64, u64), privileged: bool) -> Result<()> {
    if !privileged {
        // Without this the kernel lets nobody but root map groups: a group could be used to deny.
        write_proc(pid, b"setgroups", b"deny")?;
    }
    write_map(pid, b"uid_map", user)?;
    write_map(pid, b"gid_map", group)
}

fn write_map(pid: i32, name: &[u8], (inside, outside): (u64, u64)) -> Result<()> {
    let mut line = Text::new();
    line.push_number(inside);
    line.push(b" ");
    line.push_number(outside);
    line.push(b" 1\n");
    write_proc(pid, name, line.bytes())
}

fn write_proc(pid: i32, name: &[u8], content: &[u8]) -> Result<()> {
    let mut path = Text::new();
    path.push(b"/proc/");
    path.push_number(pid as u64);
    path.push(b"/");
    path.push(name);
    let fd = file::open_at(Fd::CWD, path.as_c_str()?, file::O_WRONLY | file::O_CLOEXEC, 0)?;
    let result = file::write(fd, content);
    file::close(fd);
    if result? == content.len() { Ok(()) } else { Err(Errno::EIO) }
}

/// A user namespace that maps one user and one group, for a mount.
fn id_namespace(user: (u64, u64), group: (u64, u64)) -> Result<Fd> {
    let (read_end, write_end) = file::pipe()?;
    match process::fork_into(process::CLONE_NEWUSER)? {
        Forked::Child => {
            file::close(write_end);
            // Held until the launcher has a descriptor for the namespace, or is gone.
            let _ = file::read(read_end, &mut [0u8; 1]);
            process::exit(0)
        }
        Forked::Parent { pid, pidfd } => {
            file::close(read_end);
            file::close(pidfd);
            let namespace = write_id_maps(pid, user, group, true).and_then(|()| {
                let mut path = Text::new();
                path.push(b"/proc/");
                path.push_number(pid as u64);
                path.push(b"/ns/user");
                file::open_at(Fd::CWD, path.as_c_str()?, file::O_RDONLY | file::O_CLOEXEC, 0)
            });
            file::close(write_end);
            process::reap(true)?;
            namespace
        }
    }
}

/// A short text without allocation.
struct Text {
    buffer: [u8; 264],
    length: usize,
}

impl Text {
    fn new() -> Self {
        Self { buffer: [0; 264], length: 0 }
    }

    /// Appends; what does not fit is left out, and the path that comes of it does not exist.
    fn push(&mut self, part: &[u8]) {
        let room = self.buffer.len() - 1 - self.length;
        let part = &part[..part.len().min(room)];
        self.buffer[self.length..self.length + part.len()].copy_from_slice(part);
        self.length += part.len();
    }

    fn push_number(&mut self, mut number: u64) {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.push(&digits[at..]);
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    fn as_c_str(&self) -> Result<&CStr> {
        CStr::from_bytes_until_nul(&self.buffer).map_err(|_| Errno::ENAMETOOLONG)
    }
}
