//! The config of an image: what it wants to run, as whom, where.

use std::collections::BTreeMap;

use hotcell_types::Digest;
use serde::{Deserialize, Serialize};

use crate::manifest::this_platform;
use crate::reference::brief;
use crate::{Bounds, OciError};

/// What an image says about running it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageConfig {
    /// The program with its first arguments.
    pub entrypoint: Vec<String>,
    /// Arguments, or the program where there is no entry point.
    pub command: Vec<String>,
    /// Variables.
    pub environment: Vec<(String, String)>,
    /// The folder to start in, absolute; nothing said: `/`.
    pub working_dir: Option<String>,
    /// As whom: `USER[:GROUP]` by name or number; empty is root.
    pub user: String,
    /// Digests of the layers, unpacked, from the lowest.
    pub diff_ids: Vec<Digest>,
}

/// Who a workload is by the image's own reckoning. Inside it has the sandbox's one id whatever this says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUser {
    /// The name, where the image's `/etc/passwd` has one.
    pub name: Option<String>,
    /// The home folder of that entry.
    pub home: Option<String>,
    /// Whether it is root.
    pub is_root: bool,
}

/// Most variables, and most arguments.
const MAX_WORDS: usize = 1024;

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    config: Option<RawConfig>,
    rootfs: RawRoot,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawConfig {
    user: Option<String>,
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
}

#[derive(Deserialize)]
struct RawRoot {
    diff_ids: Vec<Digest>,
}

impl ImageConfig {
    /// Reads a config.
    ///
    /// # Errors
    /// [`OciError::Malformed`], [`OciError::Platform`].
    pub(crate) fn parse(bytes: &[u8], bounds: &Bounds) -> Result<Self, OciError> {
        let wrong = |why: String| OciError::malformed("the config", why);
        let raw: Raw = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        let platform = format!("{}/{}", raw.os, raw.architecture);
        if platform != this_platform() {
            return Err(OciError::Platform { wanted: this_platform(), there: vec![brief(&platform)] });
        }
        if raw.rootfs.diff_ids.len() > bounds.layers {
            return Err(OciError::TooMuch { what: "the number of layers", limit: bounds.layers as u64 });
        }
        let said = raw.config.unwrap_or_default();
        let environment = said.env.unwrap_or_default().iter().map(|text| variable(text)).collect::<Option<Vec<_>>>();
        let config = Self {
            entrypoint: said.entrypoint.unwrap_or_default(),
            command: said.cmd.unwrap_or_default(),
            environment: environment.ok_or_else(|| wrong("a variable has no name".to_owned()))?,
            working_dir: said.working_dir.filter(|folder| !folder.is_empty()),
            user: said.user.unwrap_or_default(),
            diff_ids: raw.rootfs.diff_ids,
        };
        config.check().map_err(|why| wrong(why.to_owned()))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), &'static str> {
        let words = [&self.entrypoint, &self.command].into_iter().flatten();
        let texts = words.chain(self.environment.iter().flat_map(|(name, value)| [name, value]));
        let mut texts = texts.chain(&self.working_dir).chain([&self.user]);
        if texts.any(|text| text.contains('\0')) {
            return Err("a text holds a NUL");
        }
        if self.entrypoint.len() + self.command.len() > MAX_WORDS || self.environment.len() > MAX_WORDS {
            return Err("it has more than 1024 arguments or variables");
        }
        if self.working_dir.as_ref().is_some_and(|folder| !folder.starts_with('/') || has_dots(folder)) {
            return Err("its working directory is not an absolute path without `..`");
        }
        Ok(())
    }

    /// What the image runs by itself.
    ///
    /// # Errors
    /// [`OciError::NothingToRun`].
    pub fn default_command(&self) -> Result<Vec<String>, OciError> {
        let command: Vec<_> = self.entrypoint.iter().chain(&self.command).cloned().collect();
        if command.is_empty() { Err(OciError::NothingToRun) } else { Ok(command) }
    }

    /// Looks up the user in an `/etc/passwd`, the image's own.
    ///
    /// # Errors
    /// [`OciError::User`] for a name that is not there. A number need not be.
    pub(crate) fn user_in(&self, passwd: &str) -> Result<ImageUser, OciError> {
        let wanted = self.user.split(':').next().unwrap_or_default();
        let number: Option<u32> = if wanted.is_empty() { Some(0) } else { wanted.parse().ok() };
        let entry = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, id) = (fields.next()?, fields.nth(1)?.parse::<u32>().ok()?);
            let home = fields.nth(2).unwrap_or_default();
            let is_it = match number {
                Some(number) => id == number,
                None => name == wanted,
            };
            is_it.then(|| (name.to_owned(), id, home.to_owned()))
        });
        match (entry, number) {
            (Some((name, id, home)), _) => {
                let home = Some(home).filter(|home| home.starts_with('/') && !has_dots(home));
                Ok(ImageUser { name: Some(name).filter(|name| !name.is_empty()), home, is_root: id == 0 })
            }
            (None, Some(number)) => Ok(ImageUser { name: None, home: None, is_root: number == 0 }),
            (None, None) if wanted == "root" => Ok(ImageUser { name: None, home: None, is_root: true }),
            (None, None) => Err(OciError::User { user: brief(wanted) }),
        }
    }
}

fn variable(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
}

fn has_dots(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

/// What a config's environment comes to by name, the last of a name counting.
impl ImageConfig {
    /// The variables, each name once.
    pub fn variables(&self) -> BTreeMap<&str, &str> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(said: &str) -> Result<ImageConfig, OciError> {
        let (os, architecture) = this_platform().split_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let text = format!(
            "{{\"os\":\"{os}\",\"architecture\":\"{architecture}\",\"config\":{said},\
             \"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[]}},\"history\":[]}}"
        );
        ImageConfig::parse(text.as_bytes(), &Bounds::default())
    }

    #[test]
    fn entry_point_and_command_make_what_is_run() {
        let made = config("{\"Entrypoint\":[\"/run\"],\"Cmd\":[\"a\",\"b\"],\"Env\":[\"A=1=2\",\"B=\"]}").unwrap();
        assert_eq!(made.default_command().unwrap(), ["/run", "a", "b"]);
        assert_eq!(made.variables(), BTreeMap::from([("A", "1=2"), ("B", "")]));
        assert_eq!(config("{\"Cmd\":[\"x\"]}").unwrap().default_command().unwrap(), ["x"]);
        assert!(matches!(config("null").unwrap().default_command(), Err(OciError::NothingToRun)));
    }

    #[test]
    fn a_config_that_cannot_be_meant_is_refused() {
        for said in [
            "{\"WorkingDir\":\"here\"}",
            "{\"WorkingDir\":\"/a/../../b\"}",
            "{\"Env\":[\"=x\"]}",
            "{\"Env\":[\"A=\\u0000\"]}",
            "{\"Cmd\":\"text\"}",
            "{\"User\":7}",
        ] {
            assert!(matches!(config(said), Err(OciError::Malformed { .. })), "{said}");
        }
    }

    #[test]
    fn a_user_is_looked_up_by_name_or_number_in_the_images_own_list() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\napp:x:10001:10001::/home/app:/bin/sh\nup:x:7:7::/../x:/\n";
        let of = |user: &str| ImageConfig { user: user.into(), ..config("null").unwrap() }.user_in(passwd);
        let user = |name: Option<&str>, home: Option<&str>, is_root| ImageUser {
            name: name.map(str::to_owned),
            home: home.map(str::to_owned),
            is_root,
        };
        assert_eq!(of("app").unwrap(), user(Some("app"), Some("/home/app"), false));
        assert_eq!(of("10001:10001").unwrap(), user(Some("app"), Some("/home/app"), false));
        assert_eq!(of("4242").unwrap(), user(None, None, false));
        assert_eq!(of("up").unwrap(), user(Some("up"), None, false));
        for root in ["", "0", "root", "0:0", "root:app"] {
            assert!(of(root).unwrap().is_root, "{root}");
        }
        assert!(matches!(of("nobody-here"), Err(OciError::User { .. })));
    }
}
