//! Tars that hold an image: where in them each file is, and the list that `docker save` writes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use hotcell_crypto::sha256;
use hotcell_types::Digest;
use serde::Deserialize;
use tar::{Archive, EntryType};

use crate::blob::{check_digest, read_bounded};
use crate::config::ImageConfig;
use crate::manifest::{Compression, Descriptor, Layer, Manifest};
use crate::pax::Pax;
use crate::place::{Part, Place, shown};
use crate::{Bounds, OciError};

/// The list that `docker save` writes.
pub(crate) const DOCKER_LIST: &str = "manifest.json";

/// One image of the list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// An image of such a list. It has no manifest: one is made from its config, so that it has a digest of its own.
///
/// Of its config only the digest is kept: a list may name one large config a thousand times.
#[derive(Debug)]
pub(crate) struct DockerImage {
    pub(crate) digest: Digest,
    pub(crate) manifest: Manifest,
    /// The file of the config.
    config: String,
    /// The layers' files, from the lowest.
    pub(crate) files: Vec<String>,
    pub(crate) name: Option<String>,
}

impl DockerImage {
    /// Its config, held against the digest by which it was listed.
    pub(crate) fn config(&self, place: &Place, bounds: &Bounds) -> Result<Vec<u8>, OciError> {
        let config = config(place, &self.config, bounds)?;
        check_digest(&config, self.manifest.config.digest, "the config")?;
        Ok(config)
    }
}

/// Every file of a tar by its name; nothing for one that is a link or the like, which some tools write beside what
/// they need.
pub(crate) fn parts(
    file: &mut File,
    path: &Path,
    length: u64,
    bounds: &Bounds,
) -> Result<BTreeMap<String, Option<Part>>, OciError> {
    let what = format!("the archive `{}`", shown(path));
    let malformed =
        |error: io::Error| OciError::out_of(error, |error| OciError::malformed(what.clone(), error.to_string()));
    let mut begin = [0u8; 4];
    let read = file.read(&mut begin).map_err(OciError::file("read", path))?;
    if begin.get(..read).is_some_and(|begin| begin.starts_with(&[0x1f, 0x8b]) || begin == [0x28, 0xb5, 0x2f, 0xfd]) {
        return Err(OciError::Unsupported { what, why: "the archive itself is compressed; decompress it first" });
    }
    io::Seek::rewind(file).map_err(OciError::file("read", path))?;
    let mut parts = BTreeMap::new();
    let mut archive = Archive::new(&*file);
    // Raw: the tar reader would read long names and extended headers of any size.
    for (number, entry) in archive.entries_with_seek().map_err(malformed)?.raw(true).enumerate() {
        if number >= bounds.archive_entries {
            let limit = bounds.archive_entries as u64;
            return Err(OciError::TooMuch { what: "the number of files in the archive", limit });
        }
        let mut entry = entry.map_err(malformed)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        let part = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                Some(Part { start: entry.raw_file_position(), length: entry.size() })
            }
            EntryType::Directory => continue,
            // Times and owners are read over. What an image consists of has a short name and its size in the header.
            EntryType::XHeader | EntryType::XGlobalHeader => {
                let pax = read_bounded(&mut entry, bounds.extension_bytes, "the length of an extended header");
                let pax = Pax::parse(&pax.map_err(malformed)?)
                    .map_err(|why| OciError::malformed(what.clone(), format!("an entry {why}")))?;
                if !pax.is_plain() {
                    let why = "a name or size in it stands in an extended header";
                    return Err(OciError::Unsupported { what, why });
                }
                continue;
            }
            EntryType::GNULongName | EntryType::GNULongLink => {
                return Err(OciError::Unsupported { what, why: "a name in it is longer than 100 bytes" });
            }
            _ => None,
        };
        if part.is_some_and(|part| part.start.checked_add(part.length).is_none_or(|end| end > length)) {
            return Err(OciError::malformed(what.clone(), "it is cut off"));
        }
        if parts.insert(name.clone(), part).is_some() {
            return Err(OciError::malformed(what.clone(), format!("`{}` is in it twice", name.escape_debug())));
        }
    }
    Ok(parts)
}

/// The images of a list by `docker save`.
pub(crate) fn docker_images(place: &Place, bounds: &Bounds) -> Result<Vec<DockerImage>, OciError> {
    let wrong = |why: String| OciError::malformed(format!("`{DOCKER_LIST}` of the archive"), why);
    let list = place.read(DOCKER_LIST, bounds.manifest_bytes, "the size of the archive's list")?;
    let list = list.ok_or_else(|| OciError::malformed(format!("`{}`", shown(place.path())), "it holds no image"))?;
    let saved: Vec<Saved> = serde_json::from_slice(&list).map_err(|error| wrong(error.to_string()))?;
    if saved.len() > bounds.index_entries {
        return Err(OciError::TooMuch { what: "the number of images", limit: bounds.index_entries as u64 });
    }
    saved.into_iter().map(|saved| docker_image(place, saved, bounds)).collect()
}

fn docker_image(place: &Place, saved: Saved, bounds: &Bounds) -> Result<DockerImage, OciError> {
    let config = config(place, &saved.config, bounds)?;
    let parsed = ImageConfig::parse(&config, bounds)?;
    // The name of the config is its digest in every archive that Docker wrote.
    if let Some(expected) = digest_in_name(&saved.config) {
        check_digest(&config, expected, "the config")?;
    }
    if parsed.diff_ids.len() != saved.layers.len() {
        return Err(OciError::malformed("the archive", "its config names another number of layers"));
    }
    let mut layers = Vec::new();
    for (name, digest) in saved.layers.iter().zip(&parsed.diff_ids) {
        let (file, part) = place.find(name)?.ok_or_else(|| lacks(name))?;
        refuse_compressed(file, part, name, place.path())?;
        let media_type = "application/vnd.oci.image.layer.v1.tar".to_owned();
        let blob = Descriptor { media_type, digest: *digest, size: part.length };
        layers.push(Layer { blob, compression: Compression::None });
    }
    let media_type = "application/vnd.oci.image.config.v1+json".to_owned();
    let blob = Descriptor { media_type, digest: sha256(&config), size: config.len() as u64 };
    let manifest = Manifest { config: blob, layers };
    let name = saved.repo_tags.unwrap_or_default().into_iter().next();
    let digest = sha256(written(&manifest).as_bytes());
    Ok(DockerImage { digest, manifest, config: saved.config, files: saved.layers, name })
}

fn config(place: &Place, name: &str, bounds: &Bounds) -> Result<Vec<u8>, OciError> {
    place.read(name, bounds.config_bytes, "the size of the config")?.ok_or_else(|| lacks(name))
}

fn lacks(name: &str) -> OciError {
    OciError::malformed("the archive", format!("`{}` is not in it", name.escape_debug()))
}

fn refuse_compressed(file: File, part: Part, name: &str, path: &Path) -> Result<(), OciError> {
    use std::io::{Seek as _, SeekFrom};
    let mut file = file;
    let unreadable = |error| OciError::out_of(error, OciError::file("read", path));
    file.seek(SeekFrom::Start(part.start)).map_err(unreadable)?;
    let begin = read_bounded(&mut file.take(part.length.min(2)), 2, "two bytes").map_err(unreadable)?;
    match begin == [0x1f, 0x8b] {
        true => {
            let what = format!("`{}` of the archive", name.escape_debug());
            Err(OciError::Unsupported { what, why: "it is compressed; save the image as an OCI archive" })
        }
        false => Ok(()),
    }
}

/// `HEX.json` or `blobs/sha256/HEX`.
fn digest_in_name(name: &str) -> Option<Digest> {
    let file = name.rsplit('/').next()?;
    format!("sha256:{}", file.strip_suffix(".json").unwrap_or(file)).parse().ok()
}

/// The manifest of an image that has none, in one form.
fn written(manifest: &Manifest) -> String {
    let one = |blob: &Descriptor| {
        let Descriptor { media_type, digest, size } = blob;
        format!("{{\"mediaType\":\"{media_type}\",\"digest\":\"{digest}\",\"size\":{size}}}")
    };
    let layers: Vec<_> = manifest.layers.iter().map(|layer| one(&layer.blob)).collect();
    format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\
         \"config\":{},\"layers\":[{}]}}",
        one(&manifest.config),
        layers.join(",")
    )
}
