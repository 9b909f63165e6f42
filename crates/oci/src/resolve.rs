//! From a name to an image: its digest, its config, and where its layers are.

use std::fs::File;
use std::sync::Arc;

use hotcell_types::Digest;

use crate::archive::{self, DockerImage};
use crate::blob::{Blob, check_digest};
use crate::config::ImageConfig;
use crate::layout;
use crate::manifest::{Document, Manifest, choose};
use crate::place::{Place, shown};
use crate::registry::Registry;
use crate::store::{Store, StoredImage};
use crate::{Bounds, ImageRef, OciError, Progress, Settings};

/// An image whose digest and config are known. Nothing of its layers has been read.
#[derive(Debug)]
pub struct Resolved(Either);

#[derive(Debug)]
enum Either {
    Kept(Box<StoredImage>),
    Found(Box<FoundImage>),
}

/// An image that has to be fetched.
#[derive(Debug)]
pub(crate) struct FoundImage {
    pub(crate) digest: Digest,
    /// The index by which it was asked for, where that was one.
    pub(crate) index: Option<Digest>,
    pub(crate) name: String,
    pub(crate) manifest: Manifest,
    pub(crate) config: ImageConfig,
    pub(crate) bounds: Bounds,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Registry(Registry),
    Layout(Place),
    /// With the files of the layers, from the lowest.
    Docker(Place, Vec<String>),
}

/// Indexes in indexes; no tool makes more than one in one.
const MAX_INDEXES: usize = 4;

/// Finds the image of a name. One that is kept already under the digest that is named is not looked for elsewhere.
///
/// # Errors
/// Any [`OciError`] that is not about layers.
pub fn resolve(reference: &ImageRef, settings: &Arc<Settings>, store: &Store) -> Result<Resolved, OciError> {
    if let Some(kept) = reference.digest().map(|digest| store.find(digest)).transpose()?.flatten() {
        return Ok(Resolved(Either::Kept(Box::new(kept))));
    }
    let found = find(reference, settings)?;
    Ok(Resolved(match store.find(found.digest)? {
        Some(kept) => Either::Kept(Box::new(kept)),
        None => Either::Found(Box::new(found)),
    }))
}

impl Resolved {
    /// The digest of its manifest.
    pub fn digest(&self) -> Digest {
        match &self.0 {
            Either::Kept(image) => image.digest(),
            Either::Found(image) => image.digest,
        }
    }

    /// What it says about running it.
    pub fn config(&self) -> &ImageConfig {
        match &self.0 {
            Either::Kept(image) => image.config(),
            Either::Found(image) => &image.config,
        }
    }

    /// Whether it is here already.
    pub fn is_kept(&self) -> bool {
        matches!(self.0, Either::Kept(_))
    }

    /// Bytes that [`fetch`](Self::fetch) will bring.
    pub fn bytes_to_fetch(&self) -> u64 {
        match &self.0 {
            Either::Kept(_) => 0,
            Either::Found(image) => image.bytes(),
        }
    }

    /// Brings its layers into the store, where they are not there yet.
    ///
    /// # Errors
    /// Any [`OciError`]; the store is then as before.
    pub fn fetch(self, store: &Store, progress: Progress<'_>) -> Result<StoredImage, OciError> {
        match self.0 {
            Either::Kept(image) => Ok(*image),
            Either::Found(image) => store.keep(&image, progress),
        }
    }
}

impl FoundImage {
    /// Compressed bytes of all layers.
    pub(crate) fn bytes(&self) -> u64 {
        self.manifest.layers.iter().map(|layer| layer.blob.size).sum()
    }

    /// A layer by its place from below, held against its digest. `spool` makes a file without a name.
    pub(crate) fn layer(
        &self,
        number: usize,
        spool: impl FnOnce() -> Result<File, OciError>,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Blob, OciError> {
        let what = format!("layer {}", number + 1);
        let lacks = || OciError::Unknown { what: format!("{what} of the image") };
        let descriptor = &self.manifest.layers.get(number).ok_or_else(lacks)?.blob;
        let (place, name) = match &self.source {
            Source::Registry(registry) => return registry.blob(descriptor, &what, spool()?, progress),
            Source::Layout(place) => (place, layout::blob_name(descriptor.digest)),
            Source::Docker(place, files) => (place, files.get(number).cloned().ok_or_else(lacks)?),
        };
        let (file, part) = place.find(&name)?.ok_or_else(|| OciError::Unknown {
            what: format!("{what} ({}) in `{}`", descriptor.digest, shown(place.path())),
        })?;
        if part.length != descriptor.size {
            return Err(OciError::WrongSize { what, expected: descriptor.size, found: part.length });
        }
        Blob::verified(file, part.start, descriptor, &what, place.path(), progress)
    }
}

fn find(reference: &ImageRef, settings: &Arc<Settings>) -> Result<FoundImage, OciError> {
    let bounds = settings.bounds;
    match reference {
        ImageRef::Registry { name, tag, digest } => {
            let registry = Registry::new(name.clone(), Arc::clone(settings));
            let (digest, bytes) = registry.document(*digest, tag.as_deref())?;
            let chosen = descend(digest, bytes, &bounds, &mut |digest| Ok(registry.document(Some(digest), None)?.1))?;
            let config = registry.small_blob(&chosen.manifest.config, "the size of the config")?;
            chosen.into_found(reference, &config, bounds, Source::Registry(registry))
        }
        ImageRef::Path { path, digest } => {
            let place = Place::open(path, &bounds)?;
            if !layout::is_layout(&place, &bounds)? {
                return find_docker(reference, place, *digest, bounds);
            }
            let digest = match digest {
                Some(digest) => *digest,
                None => layout::only_image(&place, &bounds)?,
            };
            let bytes = layout::document(&place, digest, &bounds)?;
            let chosen = descend(digest, bytes, &bounds, &mut |digest| layout::document(&place, digest, &bounds))?;
            let descriptor = &chosen.manifest.config;
            let name = layout::blob_name(descriptor.digest);
            let config = place.read(&name, bounds.config_bytes, "the size of the config")?;
            let config = config
                .ok_or_else(|| OciError::Unknown { what: format!("config `{name}` in `{}`", shown(place.path())) })?;
            check_digest(&config, descriptor.digest, "the config")?;
            chosen.into_found(reference, &config, bounds, Source::Layout(place))
        }
    }
}

fn find_docker(
    reference: &ImageRef,
    place: Place,
    digest: Option<Digest>,
    bounds: Bounds,
) -> Result<FoundImage, OciError> {
    let images = archive::docker_images(&place, &bounds)?;
    let listed: Vec<_> = images.iter().map(listed_name).collect();
    let mut fitting = images.into_iter().filter(|image| digest.is_none_or(|digest| image.digest == digest));
    match (fitting.next(), fitting.next()) {
        (Some(image), None) => {
            let config = image.config(&place, &bounds)?;
            let DockerImage { digest, manifest, files, .. } = image;
            Chosen { digest, index: None, manifest }.into_found(
                reference,
                &config,
                bounds,
                Source::Docker(place, files),
            )
        }
        (None, _) => {
            Err(OciError::Unknown { what: format!("image `{reference}`; the archive holds {}", listed.join(", ")) })
        }
        (Some(_), Some(_)) => Err(OciError::Ambiguous { place: shown(place.path()), images: listed }),
    }
}

fn listed_name(image: &DockerImage) -> String {
    match &image.name {
        Some(name) => format!("{} ({})", image.digest, crate::reference::brief(name)),
        None => image.digest.to_string(),
    }
}

/// A manifest, and the way to it.
struct Chosen {
    digest: Digest,
    index: Option<Digest>,
    manifest: Manifest,
}

/// From a document that may be an index to the manifest for this machine.
fn descend(
    digest: Digest,
    bytes: Vec<u8>,
    bounds: &Bounds,
    document: &mut dyn FnMut(Digest) -> Result<Vec<u8>, OciError>,
) -> Result<Chosen, OciError> {
    let (asked, mut digest, mut bytes) = (digest, digest, bytes);
    for _ in 0..=MAX_INDEXES {
        match Document::parse(&bytes, bounds)? {
            Document::Manifest(manifest) => {
                return Ok(Chosen { digest, index: (asked != digest).then_some(asked), manifest });
            }
            Document::Index(listed) => {
                digest = choose(&listed)?.blob.digest;
                bytes = document(digest)?;
            }
        }
    }
    Err(OciError::malformed("the index", "it leads to an index, and that to another, without end"))
}

impl Chosen {
    fn into_found(
        self,
        reference: &ImageRef,
        config: &[u8],
        bounds: Bounds,
        source: Source,
    ) -> Result<FoundImage, OciError> {
        let Self { digest, index, manifest } = self;
        let config = ImageConfig::parse(config, &bounds)?;
        if config.diff_ids.len() != manifest.layers.len() {
            return Err(OciError::malformed("the config", "it names another number of layers than the manifest"));
        }
        Ok(FoundImage { digest, index, name: reference.to_string(), manifest, config, bounds, source })
    }
}
