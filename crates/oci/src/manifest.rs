//! Manifests and indexes, of OCI and of Docker's schema 2.

use hotcell_types::Digest;
use serde::Deserialize;

use crate::reference::brief;
use crate::{Bounds, OciError};

/// What a registry is asked for, in order of preference.
pub(crate) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// A blob by digest, size and kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// One image: its config and its layers, from the lowest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Layer>,
}

/// One layer and how it is compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) blob: Descriptor,
    pub(crate) compression: Compression,
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// One image of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) blob: Descriptor,
    /// `linux/amd64`; nothing where the index does not say.
    pub(crate) platform: Option<String>,
    /// The name that a layout gives it.
    pub(crate) name: Option<String>,
}

/// A document that names blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document {
    Index(Vec<Listed>),
    Manifest(Manifest),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u32,
    media_type: Option<String>,
    manifests: Option<Vec<RawDescriptor>>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<RawPlatform>,
    #[serde(default)]
    annotations: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
}

impl Document {
    /// Reads a document. What it is its own content decides, and nothing that was said about it beside.
    ///
    /// # Errors
    /// [`OciError::Malformed`] also for one that could be read as both kinds (CVE-2021-41190);
    /// [`OciError::Unsupported`]; [`OciError::TooMuch`].
    pub(crate) fn parse(bytes: &[u8], bounds: &Bounds) -> Result<Self, OciError> {
        let wrong = |why: String| OciError::malformed("the manifest", why);
        let raw: Raw = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        if raw.schema_version == 1 || raw.fs_layers.is_some() {
            return Err(unsupported("a manifest of schema 1", "its layers are not named by their own digest"));
        }
        if raw.schema_version != 2 {
            return Err(wrong(format!("schema version {} is unknown", raw.schema_version)));
        }
        let declared = raw.media_type.as_deref();
        match (raw.manifests, raw.config, raw.layers) {
            (Some(manifests), None, None) if matches!(declared, None | Some(OCI_INDEX | DOCKER_INDEX)) => {
                index(manifests, bounds).map(Self::Index)
            }
            (None, Some(config), Some(layers)) if matches!(declared, None | Some(OCI_MANIFEST | DOCKER_MANIFEST)) => {
                manifest(config, layers, bounds).map(Self::Manifest)
            }
            _ => Err(wrong("it is neither a manifest nor an index, or both, or not what it calls itself".to_owned())),
        }
    }
}

fn index(manifests: Vec<RawDescriptor>, bounds: &Bounds) -> Result<Vec<Listed>, OciError> {
    if manifests.len() > bounds.index_entries {
        return Err(OciError::TooMuch {
            what: "the number of images in the index",
            limit: bounds.index_entries as u64,
        });
    }
    let listed = |raw: RawDescriptor| {
        let platform =
            raw.platform.as_ref().map(|platform| format!("{}/{}", brief(&platform.os), brief(&platform.architecture)));
        let name = raw.annotations.as_ref().and_then(|notes| notes.get("org.opencontainers.image.ref.name"));
        Ok(Listed { name: name.map(|name| brief(name)), platform, blob: descriptor(raw)? })
    };
    manifests.into_iter().map(listed).collect()
}

fn manifest(config: RawDescriptor, layers: Vec<RawDescriptor>, bounds: &Bounds) -> Result<Manifest, OciError> {
    if layers.len() > bounds.layers {
        return Err(OciError::TooMuch { what: "the number of layers", limit: bounds.layers as u64 });
    }
    let config = descriptor(config)?;
    if !matches!(config.media_type.as_str(), OCI_CONFIG | DOCKER_CONFIG) {
        return Err(unsupported("an artifact", "its config is not that of an image"));
    }
    if config.size > bounds.config_bytes {
        return Err(OciError::TooMuch { what: "the size of the config", limit: bounds.config_bytes });
    }
    let layers = layers.into_iter().map(layer).collect::<Result<Vec<_>, _>>()?;
    let total = layers.iter().try_fold(0u64, |sum, layer| sum.checked_add(layer.blob.size));
    if total.is_none_or(|total| total > bounds.compressed_bytes) {
        return Err(OciError::TooMuch { what: "the size of all layers", limit: bounds.compressed_bytes });
    }
    Ok(Manifest { config, layers })
}

fn layer(raw: RawDescriptor) -> Result<Layer, OciError> {
    let blob = descriptor(raw)?;
    let compression = match blob.media_type.as_str() {
        "application/vnd.oci.image.layer.v1.tar" | "application/vnd.docker.image.rootfs.diff.tar" => Compression::None,
        "application/vnd.oci.image.layer.v1.tar+gzip" | "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
            Compression::Gzip
        }
        "application/vnd.oci.image.layer.v1.tar+zstd" | "application/vnd.docker.image.rootfs.diff.tar.zstd" => {
            Compression::Zstd
        }
        kind if kind.contains("nondistributable") || kind.contains("foreign") => {
            return Err(unsupported("a layer", "it lies elsewhere than in the registry"));
        }
        kind if kind.contains("+encrypted") => return Err(unsupported("a layer", "it is encrypted")),
        _ => return Err(unsupported("a layer", "it is of an unknown kind")),
    };
    Ok(Layer { blob, compression })
}

fn descriptor(raw: RawDescriptor) -> Result<Descriptor, OciError> {
    let digest = raw.digest.parse().map_err(|_| match raw.digest.split_once(':') {
        Some(("sha512", _)) => unsupported("a digest", "it is of another kind than SHA-256"),
        _ => OciError::malformed("the manifest", format!("`{}` is not a digest", brief(&raw.digest))),
    })?;
    Ok(Descriptor { media_type: raw.media_type, digest, size: raw.size })
}

fn unsupported(what: &str, why: &'static str) -> OciError {
    OciError::Unsupported { what: what.to_owned(), why }
}

/// This machine, as images name it.
pub(crate) fn this_platform() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("linux/{architecture}")
}

/// The image of an index that is for this machine.
pub(crate) fn choose(listed: &[Listed]) -> Result<&Listed, OciError> {
    let wanted = this_platform();
    let fits = |image: &&Listed| image.platform.as_ref().is_none_or(|platform| *platform == wanted);
    let mut fitting = listed.iter().filter(fits);
    // The first, as every client has it; variants of one architecture are listed from the best.
    fitting.next().ok_or_else(|| {
        let mut there: Vec<_> = listed.iter().filter_map(|image| image.platform.clone()).collect();
        there.sort();
        there.dedup();
        OciError::Platform { wanted, there }
    })
}

#[cfg(test)]
mod tests {
    use hotcell_types::Explain;

    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn blob(kind: &str, size: &str) -> String {
        format!("{{\"mediaType\":\"{kind}\",\"digest\":\"sha256:{HEX}\",\"size\":{size}}}")
    }

    fn parse(text: &str) -> Result<Document, OciError> {
        Document::parse(text.as_bytes(), &Bounds::default())
    }

    #[test]
    fn manifests_and_indexes_are_told_apart_by_what_they_hold() {
        let (config, layer) = (blob(OCI_CONFIG, "2"), blob("application/vnd.oci.image.layer.v1.tar+gzip", "9"));
        let manifest = format!("{{\"schemaVersion\":2,\"config\":{config},\"layers\":[{layer}]}}");
        assert!(matches!(parse(&manifest).unwrap(), Document::Manifest(manifest) if manifest.layers.len() == 1));
        let index = format!("{{\"schemaVersion\":2,\"manifests\":[{}]}}", blob(OCI_MANIFEST, "7"));
        assert!(matches!(parse(&index).unwrap(), Document::Index(listed) if listed.len() == 1));
    }

    #[test]
    fn what_could_be_read_in_two_ways_or_in_none_is_refused() {
        let (config, layer) = (blob(OCI_CONFIG, "2"), blob("application/vnd.oci.image.layer.v1.tar", "9"));
        let with = |kind: &str| format!("{{\"schemaVersion\":2,\"config\":{config},\"layers\":[{}]}}", blob(kind, "9"));
        let many = vec![layer.as_str(); 129].join(",");
        let huge = "18446744073709551615";
        for (text, code) in [
            ("".to_owned(), "OCI-022"),
            ("[]".to_owned(), "OCI-022"),
            ("{\"schemaVersion\":3,\"manifests\":[]}".to_owned(), "OCI-022"),
            ("{\"schemaVersion\":1,\"fsLayers\":[]}".to_owned(), "OCI-025"),
            (format!("{{\"schemaVersion\":2,\"config\":{config},\"layers\":[{layer}],\"manifests\":[]}}"), "OCI-022"),
            (
                format!("{{\"schemaVersion\":2,\"mediaType\":\"{OCI_INDEX}\",\"config\":{config},\"layers\":[]}}"),
                "OCI-022",
            ),
            ("{\"schemaVersion\":2,\"schemaVersion\":2,\"manifests\":[]}".to_owned(), "OCI-022"),
            (format!("{{\"schemaVersion\":2,\"config\":{},\"layers\":[]}}", blob("text/plain", "2")), "OCI-025"),
            (format!("{{\"schemaVersion\":2,\"config\":{},\"layers\":[]}}", blob(OCI_CONFIG, huge)), "OCI-030"),
            (format!("{{\"schemaVersion\":2,\"config\":{config},\"layers\":[{many}]}}"), "OCI-030"),
            (
                format!(
                    "{{\"schemaVersion\":2,\"config\":{config},\"layers\":[{0},{0}]}}",
                    blob("application/vnd.oci.image.layer.v1.tar", huge)
                ),
                "OCI-030",
            ),
            (format!("{{\"schemaVersion\":2,\"config\":{config},\"layers\":[{}]}}", blob("x", "-1")), "OCI-022"),
            (with("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"), "OCI-025"),
            (with("application/vnd.oci.image.layer.v1.tar+gzip+encrypted"), "OCI-025"),
            (with("application/vnd.oci.empty.v1+json"), "OCI-025"),
            (with("application/vnd.oci.image.layer.v1.tar").replace(HEX, "../../../etc/passwd"), "OCI-022"),
        ] {
            let error = parse(&text).unwrap_err();
            assert_eq!(error.code(), code, "{text}: {error}");
        }
    }

    #[test]
    fn the_image_for_this_machine_is_chosen_and_its_lack_names_what_there_is() {
        let of = |platform: &str| Listed {
            blob: Descriptor { media_type: OCI_MANIFEST.into(), digest: Digest([platform.len() as u8; 32]), size: 1 },
            platform: Some(platform.into()),
            name: None,
        };
        let (other, ours) = (of("plan9/mips"), of(&this_platform()));
        assert_eq!(choose(&[other.clone(), ours.clone()]).unwrap(), &ours);
        let error = choose(&[other]).unwrap_err();
        assert!(error.to_string().contains("plan9/mips"), "{error}");
    }
}
