//! Layouts: an image's files by their digest, in a folder or a tar.

use hotcell_types::Digest;

use crate::blob::check_digest;
use crate::manifest::{Document, Listed, choose};
use crate::place::{Place, shown};
use crate::{Bounds, OciError};

/// Whether a place is a layout.
pub(crate) fn is_layout(place: &Place, bounds: &Bounds) -> Result<bool, OciError> {
    Ok(place.read("oci-layout", bounds.config_bytes, "the size of the layout's mark")?.is_some())
}

/// Where a blob of a layout is.
pub(crate) fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The document of a digest, held against it.
pub(crate) fn document(place: &Place, digest: Digest, bounds: &Bounds) -> Result<Vec<u8>, OciError> {
    let bytes = place.read(&blob_name(digest), bounds.manifest_bytes, "the size of the manifest")?;
    let what = || format!("blob {digest} in `{}`", shown(place.path()));
    let bytes = bytes.ok_or_else(|| OciError::Unknown { what: what() })?;
    check_digest(&bytes, digest, &what())?;
    Ok(bytes)
}

/// The digest that is meant where none was named: there has to be one image only, or one for this machine.
pub(crate) fn only_image(place: &Place, bounds: &Bounds) -> Result<Digest, OciError> {
    let index = place.read("index.json", bounds.manifest_bytes, "the size of the index")?;
    let what = format!("`{}`", shown(place.path()));
    let index = index.ok_or_else(|| OciError::malformed(what.clone(), "it has no `index.json`"))?;
    let Document::Index(listed) = Document::parse(&index, bounds)? else {
        return Err(OciError::malformed(what, "its `index.json` is no index"));
    };
    match listed.as_slice() {
        [] => Err(OciError::malformed(what, "its index is empty")),
        [one] => Ok(one.blob.digest),
        several if several.iter().all(|image| image.name.is_none() && image.platform.is_some()) => {
            Ok(choose(several)?.blob.digest)
        }
        several => {
            Err(OciError::Ambiguous { place: shown(place.path()), images: several.iter().map(listed_name).collect() })
        }
    }
}

fn listed_name(image: &Listed) -> String {
    match &image.name {
        Some(name) => format!("{} ({name})", image.blob.digest),
        None => image.blob.digest.to_string(),
    }
}
