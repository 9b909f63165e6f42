//! How much an image may be.

/// The bounds of an image. The defaults let every image in practical use through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a manifest or an index. The distribution specification names this figure.
    pub manifest_bytes: u64,
    /// Bytes of a config.
    pub config_bytes: u64,
    /// Layers. Overlay file systems end at 128 too.
    pub layers: usize,
    /// Images that one index lists.
    pub index_entries: usize,
    /// Compressed bytes of all layers.
    pub compressed_bytes: u64,
    /// Unpacked bytes of all layers.
    pub unpacked_bytes: u64,
    /// Entries of all layers, and folders made on their behalf.
    pub entries: u64,
    /// Bytes of a path, and of where a link points to: the kernel's own bound.
    pub path_bytes: usize,
    /// Bytes of all paths that one layer makes: they are in memory while it is unpacked.
    pub made_bytes: u64,
    /// Nested folders.
    pub depth: usize,
    /// Bytes of the extended header of one entry.
    pub extension_bytes: u64,
    /// Unpacked bytes for one compressed byte, of a layer that unpacks to more than 64 MiB.
    pub ratio: u64,
    /// Entries of the root folder: each is a mount of its own in a sandbox.
    pub root_entries: usize,
    /// Files of an archive that holds an image.
    pub archive_entries: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            manifest_bytes: 4 << 20,
            config_bytes: 4 << 20,
            layers: 128,
            index_entries: 1024,
            compressed_bytes: 16 << 30,
            unpacked_bytes: 32 << 30,
            entries: 1_000_000,
            path_bytes: 4095,
            made_bytes: 128 << 20,
            depth: 128,
            extension_bytes: 1 << 20,
            ratio: 200,
            root_entries: 48,
            archive_entries: 10_000,
        }
    }
}

/// What a layer may unpack to however small it is: a few large files of zeros are nothing unusual.
pub(crate) const FREE_BYTES: u64 = 64 << 20;
