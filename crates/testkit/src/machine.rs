//! Other kernels, in an emulated machine.
//!
//! A test gives programs, files and commands; the machine boots a stock kernel with a file system in memory that holds
//! them, runs the commands as root, and its console is the answer. `cargo xtask kernels` brings the kernels.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A machine that has not been started yet.
pub struct Machine {
    kernel: PathBuf,
    entries: BTreeMap<String, Entry>,
}

enum Entry {
    Folder,
    File { mode: u32, content: Vec<u8> },
    Link(String),
}

/// What came of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Exit status.
    pub status: i32,
    /// Standard output and error together.
    pub text: String,
}

/// Seconds after which a machine that has not ended is given up. One boots in three and runs some hundred commands.
const PATIENCE: &str = "900";

impl Machine {
    /// With the stock kernel of a series, such as `6.1`.
    ///
    /// # Errors
    /// What is missing on this host.
    pub fn new(series: &str) -> Result<Self, String> {
        let kernel = crate::workspace().join("target/kernels").join(series).join("vmlinuz");
        if !kernel.is_file() {
            return Err(format!("no kernel {series} here: `cargo xtask kernels` brings it where there is one"));
        }
        let needed = ["qemu-system-x86_64", "busybox", "timeout", "ldd"];
        if let Some(missing) = needed.iter().find(|name| !crate::have_program(name)) {
            return Err(format!("needs the program `{missing}`"));
        }
        let mut machine = Self { kernel, entries: BTreeMap::new() };
        for folder in ["usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc", "dev", "proc", "sys", "tmp", "new", "root"]
        {
            machine.folder(folder);
        }
        for link in ["bin", "sbin", "lib", "lib64"] {
            machine.entries.insert(link.to_owned(), Entry::Link(format!("usr/{link}")));
        }
        machine.program("/usr/bin/busybox", &crate::which("busybox").ok_or("needs the program `busybox`")?)?;
        machine.file("/init", 0o755, INIT.as_bytes());
        machine.file("/etc/passwd", 0o644, b"root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n");
        machine.file("/etc/group", 0o644, b"root:x:0:\nuser:x:1000:\n");
        Ok(machine)
    }

    /// Puts a file there.
    pub fn file(&mut self, at: &str, mode: u32, content: &[u8]) {
        let at = merged(at);
        if let Some((folder, _)) = at.rsplit_once('/') {
            self.folder(folder);
        }
        self.entries.insert(at, Entry::File { mode, content: content.to_vec() });
    }

    /// Puts a program there, without what only debuggers read, and the libraries that it is linked to.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn program(&mut self, at: &str, program: &Path) -> Result<(), String> {
        let listed = Command::new("ldd").arg(program).output().map_err(|error| format!("ldd: {error}"))?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let words = listed.split_whitespace().filter(|word| word.starts_with('/'));
        for library in words.map(|word| word.trim_end_matches(':')) {
            let content = fs::read(library).map_err(|error| format!("{library}: {error}"))?;
            self.file(library, 0o755, &content);
        }
        let stripped = own_name("stripped");
        let strip = Command::new("strip").arg("-o").arg(&stripped).arg(program).stderr(Stdio::null()).status();
        let source = if strip.is_ok_and(|status| status.success()) { stripped.as_path() } else { program };
        let content = fs::read(source).map_err(|error| format!("{}: {error}", source.display()));
        let _ = fs::remove_file(&stripped);
        self.file(at, 0o755, &content?);
        Ok(())
    }

    /// Puts a module of this kernel there, as `/NAME.ko`, for `insmod`.
    ///
    /// # Errors
    /// When it was not brought with the kernel.
    pub fn module(&mut self, name: &str) -> Result<(), String> {
        let module = self.kernel.with_file_name(format!("{name}.ko"));
        let content = fs::read(&module)
            .map_err(|_| format!("no kernel module {name} here: `cargo xtask kernels` brings it where there is one"))?;
        self.file(&format!("/{name}.ko"), 0o644, &content);
        Ok(())
    }

    /// Boots, runs the commands by name in order, and ends. A command that never came to its end has no answer.
    ///
    /// # Errors
    /// When the machine did not come up or did not end by itself.
    pub fn run(mut self, commands: &[(&str, &str)]) -> Result<BTreeMap<String, Answer>, String> {
        let mut script = String::from("#!/bin/sh\n");
        for (name, command) in commands {
            script.push_str(&format!(
                "echo; echo '@@begin {name}'\n(\n{command}\n) 2>&1\nstatus=$?; echo; echo \"@@end $status\"\n"
            ));
        }
        self.file("/commands", 0o755, script.as_bytes());
        let image = own_name("machine");
        fs::write(&image, self.archive()).map_err(|error| format!("{}: {error}", image.display()))?;
        let output = Command::new("timeout")
            .args(["--kill-after=5", PATIENCE, "qemu-system-x86_64", "-M", "pc", "-accel", "tcg", "-cpu", "max"])
            .args(["-m", "1536", "-smp", "2", "-nographic", "-no-reboot", "-net", "none"])
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(&image)
            .args(["-append", "console=ttyS0 quiet loglevel=0 panic=-1"])
            .stdin(Stdio::null())
            .output();
        let _ = fs::remove_file(&image);
        let output = output.map_err(|error| format!("qemu: {error}"))?;
        let console = String::from_utf8_lossy(&output.stdout).replace('\r', "");
        let answers = answers(&console);
        if !output.status.success() || !console.contains("@@over") {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let tail: Vec<_> = console.lines().rev().take(40).collect();
            let tail: Vec<_> = tail.into_iter().rev().collect();
            return Err(format!("the machine ended with {}\n{said}\n{}", output.status, tail.join("\n")));
        }
        Ok(answers)
    }

    fn folder(&mut self, path: &str) {
        let path = merged(path);
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            self.entries.entry(path[..end].to_owned()).or_insert(Entry::Folder);
        }
    }

    /// The files in the form in which the kernel unpacks them: cpio, "new ASCII".
    fn archive(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, (path, entry)) in self.entries.iter().enumerate() {
            let (mode, content) = match entry {
                Entry::Folder => (0o040755, &[][..]),
                Entry::File { mode, content } => (0o100000 | mode, content.as_slice()),
                Entry::Link(target) => (0o120777, target.as_bytes()),
            };
            member(&mut bytes, number + 1, mode, path, content);
        }
        member(&mut bytes, 0, 0, "TRAILER!!!", &[]);
        bytes
    }
}

/// A name for a file that no other test uses.
fn own_name(what: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    crate::data_dir().join(format!("{what}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// A path without its first slash, and with the folders that are links followed.
fn merged(path: &str) -> String {
    let path = path.trim_matches('/');
    match path.split('/').next() {
        Some("bin" | "sbin" | "lib" | "lib64") => format!("usr/{path}"),
        _ => path.to_owned(),
    }
}

fn member(bytes: &mut Vec<u8>, number: usize, mode: u32, path: &str, content: &[u8]) {
    let fields = [number as u32, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, path.len() as u32 + 1, 0];
    bytes.extend(b"070701");
    fields.iter().for_each(|field| bytes.extend(format!("{field:08x}").bytes()));
    bytes.extend(path.bytes().chain([0]));
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn answers(console: &str) -> BTreeMap<String, Answer> {
    let mut answers = BTreeMap::new();
    for part in console.split("@@begin ").skip(1) {
        let Some((name, rest)) = part.split_once('\n') else { continue };
        let Some((text, end)) = rest.split_once("@@end ") else { continue };
        let status = end.lines().next().and_then(|status| status.trim().parse().ok());
        if let Some(status) = status {
            answers.insert(name.trim().to_owned(), Answer { status, text: text.trim_end().to_owned() });
        }
    }
    answers
}

/// The first process: moves everything to a file system that can be left (the first one cannot), and goes on there.
const INIT: &str = "#!/usr/bin/busybox sh
B=/usr/bin/busybox
if [ \"$1\" != again ]; then
    $B mount -t tmpfs -o mode=755 none /new
    $B cp -a /usr /bin /sbin /lib /lib64 /etc /dev /root /commands /init /new/
    for entry in /*; do [ -e /new$entry ] || $B cp -a $entry /new/ 2>/dev/null; done
    $B mkdir -p /new/proc /new/sys /new/tmp
    exec $B switch_root /new /init again
fi
$B --install -s /usr/bin
export PATH=/usr/bin:/usr/sbin HOME=/root
mount -t proc none /proc
mount -t sysfs none /sys
mount -t securityfs none /sys/kernel/security 2>/dev/null
mount -t devtmpfs none /dev
mount -t tmpfs -o mode=1777 none /tmp
mount -t cgroup2 none /sys/fs/cgroup
ip link set lo up
/commands
echo; echo @@over
poweroff -f
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_from_a_console_with_noise() {
        let console =
            "BIOS\n@@begin one\n line\n\n@@end 3\n[ 2.0] noise\n@@begin two\n@@end 0\n@@begin cut\nnever ended";
        let answers = answers(console);
        assert_eq!(answers["one"], Answer { status: 3, text: " line".to_owned() });
        assert_eq!(answers["two"], Answer { status: 0, text: String::new() });
        assert!(!answers.contains_key("cut"));
    }

    #[test]
    fn libraries_of_a_program_come_along_and_land_where_the_links_lead() {
        assert_eq!(merged("/lib64/ld.so"), "usr/lib64/ld.so");
        assert_eq!(merged("/library/x"), "library/x");
    }

    #[test]
    fn members_of_the_archive_are_aligned() {
        let mut bytes = Vec::new();
        member(&mut bytes, 1, 0o100644, "a/b", b"12345");
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(&bytes[110..114], b"a/b\0");
    }
}
