//! Layouts made by code.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotcell_crypto::sha256;
use hotcell_oci::{Bounds, ImageRef, OciError, Settings, Store, StoredImage, resolve};
use hotcell_types::Digest;
use tempfile::TempDir;

/// A folder with a store and layouts, gone at the end.
pub(crate) struct Place {
    folder: TempDir,
    bounds: Bounds,
}

/// How a layer is written.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Packed {
    Plain,
    Gzip,
    Zstd,
}

/// An image that was written as a layout.
pub(crate) struct Made {
    pub(crate) layout: PathBuf,
    pub(crate) manifest: Digest,
    pub(crate) config: Digest,
    pub(crate) layers: Vec<Digest>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new_in(hotcell_testkit::data_dir()).unwrap(), bounds: Bounds::default() }
    }

    pub(crate) fn bounded(bounds: Bounds) -> Self {
        let mut place = Self::new();
        place.bounds = bounds;
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(self.path("images"))
    }

    /// A layout of these layers, with what the config says beside.
    pub(crate) fn layout(&self, layers: &[Vec<u8>], packed: Packed, said: &str) -> Made {
        let layout = self.path("layout");
        let _ = fs::remove_dir_all(&layout);
        fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
        let (name, media) = match packed {
            Packed::Plain => (layers.to_vec(), ""),
            Packed::Gzip => (layers.iter().map(|layer| gzip(layer)).collect(), "+gzip"),
            Packed::Zstd => (layers.iter().map(|layer| zstd(layer)).collect(), "+zstd"),
        };
        let diff_ids: Vec<_> = layers.iter().map(|layer| format!("\"{}\"", sha256(layer))).collect();
        let config = format!(
            "{{\"os\":\"linux\",\"architecture\":\"{}\",\"config\":{said},\
             \"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[{}]}}}}",
            architecture(),
            diff_ids.join(",")
        );
        let blobs: Vec<Digest> = name.iter().map(|blob| put(&layout, blob)).collect();
        let described: Vec<_> = name
            .iter()
            .zip(&blobs)
            .map(|(blob, digest)| {
                let kind = format!("application/vnd.oci.image.layer.v1.tar{media}");
                format!("{{\"mediaType\":\"{kind}\",\"digest\":\"{digest}\",\"size\":{}}}", blob.len())
            })
            .collect();
        let config_digest = put(&layout, config.as_bytes());
        let manifest = format!(
            "{{\"schemaVersion\":2,\"config\":{{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\
             \"digest\":\"{config_digest}\",\"size\":{}}},\"layers\":[{}]}}",
            config.len(),
            described.join(",")
        );
        let digest = put(&layout, manifest.as_bytes());
        fs::write(layout.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
        write_index(&layout, &[(digest, manifest.len(), None)]);
        Made { layout, manifest: digest, config: config_digest, layers: blobs }
    }

    /// Finds and fetches an image by its name.
    pub(crate) fn fetch(&self, name: &str) -> Result<StoredImage, OciError> {
        self.fetch_by(name, &self.settings())
    }

    pub(crate) fn fetch_by(&self, name: &str, settings: &Arc<Settings>) -> Result<StoredImage, OciError> {
        let reference = ImageRef::parse(name, settings)?;
        resolve(&reference, settings, &self.store())?.fetch(&self.store(), &mut |_, _| true)
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        let mut settings = Settings::default();
        settings.bounds = self.bounds;
        Arc::new(settings)
    }

    /// Everything that the store's folder holds, locks apart.
    pub(crate) fn left(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("images")) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.ends_with(".lock")).collect()
    }
}

/// Puts a blob into a layout.
pub(crate) fn put(layout: &Path, bytes: &[u8]) -> Digest {
    let digest = sha256(bytes);
    fs::write(layout.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
    digest
}

/// Writes the index of a layout: digest, size, and name of each image.
pub(crate) fn write_index(layout: &Path, images: &[(Digest, usize, Option<&str>)]) {
    let listed: Vec<_> = images
        .iter()
        .map(|(digest, size, name)| {
            let note = name.map(|name| format!("\"org.opencontainers.image.ref.name\":\"{name}\"")).unwrap_or_default();
            format!(
                "{{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"{digest}\",\
                 \"size\":{size},\"annotations\":{{{note}}}}}"
            )
        })
        .collect();
    let index = format!("{{\"schemaVersion\":2,\"manifests\":[{}]}}", listed.join(","));
    fs::write(layout.join("index.json"), index).unwrap();
}

pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}
