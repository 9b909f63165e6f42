//! OCI images: what a name means, where an image comes from, and how its layers become a folder that nothing in
//! them can reach beyond.
//!
//! [`resolve`] finds an image and its digest without a byte of its layers; [`Resolved::fetch`] brings the layers into
//! the [`Store`]. Policy is asked in between.
//!
//! INVARIANT (digest-first): nothing of a blob is interpreted before the whole of it was held against its digest and
//! size; and what its layers unpack to is held against the config's `diff_ids` before the image gets its name.
//!
//! INVARIANT (within-the-root): a layer writes only beneath its root. Every folder is opened from the root by
//! `openat2` beneath it and without links; every file is made anew and never opened through a name that a layer chose.
//!
//! Deliberately absent: owners, set-id bits, devices, extended attributes, an asynchronous runtime, and any registry
//! that is asked unless somebody named it.

mod archive;
mod auth;
mod blob;
mod bounds;
mod config;
mod decompress;
mod error;
#[cfg(test)]
mod fuzz;
mod http;
mod layer;
mod layout;
mod manifest;
mod pax;
mod place;
mod reference;
mod registry;
mod resolve;
mod settings;
mod store;
mod tree;

pub use bounds::Bounds;
pub use config::{ImageConfig, ImageUser};
pub use error::OciError;
pub use reference::{ImageRef, RegistryName};
pub use resolve::{Resolved, resolve};
pub use settings::{MAX_SETTINGS_BYTES, RegistrySettings, Settings};
pub use store::{CachedImage, Store, StoredImage};

/// Told how far a fetch is: bytes so far, and all. Gives `false` to stop it.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> bool;
