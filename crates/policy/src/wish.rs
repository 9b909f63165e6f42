//! Rights that a file asks for by `[[rights]]`, beyond what every sandbox has: checked, and refused where they are
//! never given.
//!
//! A right can be asked for only where a wall can hold a task to it. Input and output ports and raw memory can be
//! written down, so that a wish for them is understood and refused by name, but no profile, flag or rule grants them.

use hotcell_types::{ByteSize, Destination, RequestRules};
use serde::Deserialize;

use crate::error::ProfileError;
use crate::limit::brief;
use crate::{Access, Accesses, Interval, Origin};

/// One `[[rights]]` as written: `access`, and over what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRight {
    /// Some of `READ`, `WRITE`, `EXECUTE`, `CONNECT`.
    pub access: Vec<Access>,
    /// A path inside: `/output`, `/scratch`, `/input/NAME`.
    pub path: Option<String>,
    /// The node of a device, by its exact path.
    pub device: Option<String>,
    /// Input and output ports, `0x60..0x65`.
    pub ports: Option<String>,
    /// Addresses of the machine's memory, `0x0..0x1000`.
    pub raw_memory: Option<String>,
    /// A host, `NAME` or `NAME:PORT`.
    pub host: Option<String>,
    /// Whether what goes to the host passes unopened. The local user's own choice only.
    #[serde(default)]
    pub pass: bool,
    /// Methods of requests to the host that may pass; all where none is named.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Paths that may be asked for, `/v1/prices` or `/v1/*`; all where none is named.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Most bytes of the body of one request, `64KiB`.
    pub max_request_bytes: Option<String>,
    /// Most requests of one task.
    pub max_requests: Option<u64>,
    /// Bytes of a path or device, `0..4096`.
    pub bytes: Option<String>,
}

/// A right that can be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To execute what lies at this path inside.
    Execute(String),
    /// To use a device.
    Device(String, Accesses),
    /// To connect to a host; whether it passes unopened, and which requests do where it is opened.
    Connect(Destination, bool, RequestRules),
}

impl RawRight {
    /// What it comes to; nothing where every task has that right already.
    ///
    /// # Errors
    /// [`ProfileError::Value`] for what means nothing or no wall can hold, [`ProfileError::NeverGranted`] for ports and raw
    /// memory.
    pub(crate) fn check(&self, origin: &Origin) -> Result<Option<Wish>, ProfileError> {
        let wrong = |problem: String| ProfileError::Value { key: "rights".to_owned(), origin: origin.clone(), problem };
        let never = |what: String| ProfileError::NeverGranted { what, origin: origin.clone() };
        let accesses: Accesses = self.access.iter().copied().collect();
        if accesses == Accesses::NONE {
            return Err(wrong("`access` names none of READ, WRITE, EXECUTE, CONNECT".to_owned()));
        }
        if self.bytes.is_some() {
            return Err(wrong(
                "`bytes`: no wall of the kernel ends in the middle of a file or device; give the task a file that holds \
                 those bytes only"
                    .to_owned(),
            ));
        }
        if self.pass && self.host.is_none() {
            return Err(wrong("`pass` is said of a `host` only".to_owned()));
        }
        let rules = self.request_rules().map_err(wrong)?;
        if !rules.is_empty() && (self.host.is_none() || self.pass) {
            return Err(wrong(
                "`methods`, `paths`, `max_request_bytes`, `max_requests` are said of a `host` that is opened only; leave out \
                 `pass`"
                    .to_owned(),
            ));
        }
        match (&self.path, &self.device, &self.ports, &self.raw_memory, &self.host) {
            (Some(path), None, None, None, None) => check_path(path, accesses).map_err(wrong),
            (None, Some(node), None, None, None) if is_raw_memory(node) => Err(never(format!("the device `{node}`"))),
            (None, Some(node), None, None, None) => {
                check_node(node).map_err(wrong)?;
                check_accesses(accesses, Accesses::READ_WRITE, "a device").map_err(wrong)?;
                Ok(Some(Wish::Device(node.clone(), accesses)))
            }
            (None, None, Some(ports), None, None) => {
                let interval: Interval = ports.parse().map_err(wrong)?;
                if interval.end() > MAX_PORTS {
                    return Err(wrong(format!("`{interval}`: there are the ports 0x0..{MAX_PORTS:#x}")));
                }
                check_accesses(accesses, Accesses::READ_WRITE, "ports").map_err(wrong)?;
                Err(never(format!("the input and output ports {interval}")))
            }
            (None, None, None, Some(memory), None) => {
                let interval: Interval = memory.parse().map_err(wrong)?;
                check_accesses(accesses, Accesses::ALL_OF_MEMORY, "raw memory").map_err(wrong)?;
                Err(never(format!("raw memory {interval}")))
            }
            (None, None, None, None, Some(host)) => {
                check_accesses(accesses, Accesses::of(Access::Connect), "a host").map_err(wrong)?;
                let destination = host.parse::<Destination>().map_err(|error| wrong(error.to_string()))?;
                Ok(Some(Wish::Connect(destination, self.pass, rules)))
            }
            _ => Err(wrong(
                "each right is over exactly one of `path`, `device`, `ports`, `raw_memory`, `host`".to_owned(),
            )),
        }
    }
}

impl RawRight {
    fn request_rules(&self) -> Result<RequestRules, String> {
        let bytes = self.max_request_bytes.as_deref().map(str::parse::<ByteSize>).transpose();
        let bytes = bytes.map_err(|error| format!("`max_request_bytes`: {error}"))?.map(ByteSize::bytes);
        RequestRules::new(&self.methods, &self.paths, bytes, self.max_requests)
    }
}

/// Devices that are the machine's memory and ports under a name. Their numbers are looked at too, when a node is opened.
fn is_raw_memory(node: &str) -> bool {
    matches!(node, "/dev/mem" | "/dev/kmem" | "/dev/port")
}

fn check_path(path: &str, accesses: Accesses) -> Result<Option<Wish>, String> {
    let shown = brief(path);
    let input = path.strip_prefix("/input/").filter(|name| is_plain(name));
    let had = match (path, input) {
        ("/output" | "/scratch", _) => Accesses::READ_WRITE,
        ("/code", _) => Accesses::of(Access::Read),
        (_, Some(_)) => Accesses::of(Access::Read),
        _ => {
            return Err(format!(
                "`{shown}`: rights over paths can be asked for /output, /scratch and /input/NAME; what else is seen is \
                 set by --input, --code, --model and `mounts.system_view`"
            ));
        }
    };
    let most = match path {
        "/code" => return Err("`/code`: whether it is executed is `mounts.code_exec`".to_owned()),
        _ => had.with(Access::Execute),
    };
    check_accesses(accesses, most, &format!("`{shown}`"))?;
    Ok(accesses.has(Access::Execute).then(|| Wish::Execute(path.to_owned())))
}

fn check_accesses(asked: Accesses, most: Accesses, what: &str) -> Result<(), String> {
    match asked.within(most) {
        true => Ok(()),
        false => Err(format!("{what}: there is {most} to ask for, not {asked}")),
    }
}

/// An exact name: no links of `..` on the way, no pattern.
fn check_node(node: &str) -> Result<(), String> {
    let plain = node.strip_prefix("/dev/").is_some_and(|rest| rest.split('/').all(is_plain));
    match plain && node.len() <= MAX_NODE_BYTES {
        true => Ok(()),
        false => Err(format!("`{}` is not the exact path of a node below /dev", brief(node))),
    }
}

fn is_plain(part: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+:@,=".contains(&byte);
    !part.is_empty() && part != "." && part != ".." && part.bytes().all(fits)
}

/// How many input and output ports a machine can name.
const MAX_PORTS: u64 = 1 << 16;
/// Longest path of a node: real ones are short, and it has to fit into one step of a plan.
const MAX_NODE_BYTES: usize = 128;
/// Most `[[rights]]` in one file: each is a mount or a rule of the sandbox.
pub(crate) const MAX_WISHES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Option<Wish>, ProfileError> {
        let raw: RawRight = toml::from_str(text).unwrap();
        raw.check(&Origin::Flag("x".to_owned()))
    }

    #[test]
    fn ports_and_raw_memory_are_understood_and_never_granted() {
        for text in [
            "access = [\"READ\"]\nports = \"0x60..0x65\"",
            "access = [\"READ\", \"WRITE\"]\nports = \"0..0x10000\"",
            "access = [\"READ\"]\nraw_memory = \"0x0..0x100000\"",
            "access = [\"READ\", \"WRITE\", \"EXECUTE\"]\nraw_memory = \"0..1\"",
            "access = [\"READ\"]\ndevice = \"/dev/mem\"",
            "access = [\"READ\"]\ndevice = \"/dev/kmem\"",
            "access = [\"READ\", \"WRITE\"]\ndevice = \"/dev/port\"",
        ] {
            let error = check(text).unwrap_err();
            assert!(matches!(error, ProfileError::NeverGranted { .. }), "{text}: {error}");
            assert_eq!(hotcell_types::Explain::code(&error), "POL-040", "{text}");
            assert_eq!(hotcell_types::Explain::exit(&error), hotcell_types::Exit::Refused, "{text}");
        }
    }

    #[test]
    fn a_host_is_reached_by_its_name_and_port() {
        let host = |text: &str| check(&format!("access = [\"CONNECT\"]\n{text}"));
        let destination: Destination = "api.example:443".parse().unwrap();
        assert_eq!(
            host("host = \"API.example\"").unwrap(),
            Some(Wish::Connect(destination.clone(), false, RequestRules::default()))
        );
        assert_eq!(
            host("host = \"api.example:443\"\npass = true").unwrap(),
            Some(Wish::Connect(destination, true, RequestRules::default()))
        );
        let Some(Wish::Connect(_, _, rules)) =
            host("host = \"api.example\"\nmethods = [\"GET\"]\nmax_request_bytes = \"1KiB\"").unwrap()
        else {
            panic!("no host")
        };
        assert_eq!((rules.fault("PUT", "/").is_some(), rules.max_request_bytes()), (true, Some(1024)));
        for text in [
            "host = \"a.example\"\npass = true\nmethods = [\"GET\"]",
            "host = \"a.example\"\npaths = [\"v1\"]",
            "host = \"a.example\"\nmax_request_bytes = \"many\"",
            "path = \"/output\"\nmax_requests = 1",
            "host = \"127.0.0.1\"",
            "host = \"*.example\"",
            "host = \"\"",
            "path = \"/output\"\npass = true",
        ] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_no_wall_can_hold_or_means_nothing_cannot_be_asked_for() {
        for (text, part) in [
            ("access = []\npath = \"/output\"", "names none"),
            ("access = [\"READ\"]", "exactly one"),
            ("access = [\"READ\"]\npath = \"/output\"\ndevice = \"/dev/fuse\"", "exactly one"),
            ("access = [\"READ\"]\npath = \"/input/data\"\nbytes = \"0..4096\"", "middle of a file"),
            ("access = [\"READ\"]\ndevice = \"/dev/fuse\"\nbytes = \"0..4096\"", "middle of a file"),
            ("access = [\"WRITE\"]\npath = \"/input/data\"", "READ EXECUTE"),
            ("access = [\"CONNECT\"]\npath = \"/output\"", "READ WRITE EXECUTE"),
            ("access = [\"EXECUTE\"]\npath = \"/home\"", "--input"),
            ("access = [\"EXECUTE\"]\npath = \"/input/../output\"", "--input"),
            ("access = [\"EXECUTE\"]\npath = \"/input/\"", "--input"),
            ("access = [\"EXECUTE\"]\npath = \"/code\"", "code_exec"),
            ("access = [\"EXECUTE\"]\ndevice = \"/dev/fuse\"", "READ WRITE"),
            ("access = [\"READ\"]\ndevice = \"/dev/../etc/shadow\"", "exact path"),
            ("access = [\"READ\"]\ndevice = \"/dev/*\"", "exact path"),
            ("access = [\"READ\"]\ndevice = \"/dev/\"", "exact path"),
            ("access = [\"READ\"]\ndevice = \"/tmp/null\"", "exact path"),
            ("access = [\"EXECUTE\"]\nports = \"0..1\"", "READ WRITE"),
            ("access = [\"READ\"]\nports = \"0x60..0x60\"", "holds nothing"),
            ("access = [\"READ\"]\nports = \"0..0x10001\"", "0x0..0x10000"),
            ("access = [\"READ\"]\nraw_memory = \"all\"", "START..END"),
            ("access = [\"READ\"]\nhost = \"x\"", "CONNECT"),
        ] {
            let error = check(text).unwrap_err();
            assert!(matches!(error, ProfileError::Value { .. }) && error.to_string().contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn execution_and_devices_can_be_asked_for() {
        let device = |accesses| Ok(Some(Wish::Device("/dev/dri/renderD128".to_owned(), accesses)));
        for (text, wish) in [
            ("access = [\"READ\", \"WRITE\"]\npath = \"/output\"", Ok(None)),
            ("access = [\"EXECUTE\"]\npath = \"/output\"", Ok(Some(Wish::Execute("/output".to_owned())))),
            (
                "access = [\"READ\", \"EXECUTE\"]\npath = \"/input/d-1\"",
                Ok(Some(Wish::Execute("/input/d-1".to_owned()))),
            ),
            ("access = [\"READ\"]\ndevice = \"/dev/dri/renderD128\"", device(Accesses::of(Access::Read))),
            ("access = [\"WRITE\", \"READ\"]\ndevice = \"/dev/dri/renderD128\"", device(Accesses::READ_WRITE)),
        ] {
            assert_eq!(check(text), wish, "{text}");
        }
    }
}
