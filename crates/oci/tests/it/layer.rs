//! Layers made byte by byte, the ones that no honest tool makes among them.

/// A tar in the making.
#[derive(Default, Clone)]
pub(crate) struct Layer(Vec<u8>);

/// What an entry says of itself.
#[derive(Clone, Copy)]
pub(crate) struct Said<'a> {
    pub(crate) kind: u8,
    pub(crate) path: &'a [u8],
    pub(crate) link: &'a [u8],
    pub(crate) mode: u32,
    pub(crate) size: u64,
}

impl Layer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn file(self, path: &str, content: &[u8]) -> Self {
        self.file_of_mode(path, 0o644, content)
    }

    pub(crate) fn file_of_mode(self, path: &str, mode: u32, content: &[u8]) -> Self {
        let size = content.len() as u64;
        self.raw(Said { kind: b'0', path: path.as_bytes(), link: b"", mode, size }, content)
    }

    pub(crate) fn folder(self, path: &str) -> Self {
        self.folder_of_mode(path, 0o755)
    }

    pub(crate) fn folder_of_mode(self, path: &str, mode: u32) -> Self {
        self.raw(Said { kind: b'5', path: path.as_bytes(), link: b"", mode, size: 0 }, b"")
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.raw(Said { kind: b'2', path: path.as_bytes(), link: target.as_bytes(), mode: 0o777, size: 0 }, b"")
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Self {
        self.raw(Said { kind: b'1', path: path.as_bytes(), link: target.as_bytes(), mode: 0o644, size: 0 }, b"")
    }

    /// `3` a character device, `4` a block device, `6` a pipe, and what nobody has heard of.
    pub(crate) fn special(self, kind: u8, path: &str) -> Self {
        self.raw(Said { kind, path: path.as_bytes(), link: b"", mode: 0o666, size: 0 }, b"")
    }

    /// An extended header for the entry behind it.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        self.extended(b'x', records)
    }

    /// One for all entries behind it.
    pub(crate) fn pax_for_all(self, records: &[(&str, &[u8])]) -> Self {
        self.extended(b'g', records)
    }

    /// GNU's long name (`L`) or long link (`K`) of the entry behind it.
    pub(crate) fn long(self, kind: u8, name: &[u8]) -> Self {
        let size = name.len() as u64;
        self.raw(Said { kind, path: b"././@LongLink", link: b"", mode: 0o644, size }, name)
    }

    fn extended(self, kind: u8, records: &[(&str, &[u8])]) -> Self {
        let mut text = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (1..8).map(|digits| rest + digits).find(|length| length.to_string().len() + rest == *length);
            text.extend_from_slice(format!("{} {key}=", length.unwrap()).as_bytes());
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        let size = text.len() as u64;
        self.raw(Said { kind, path: b"PaxHeaders/x", link: b"", mode: 0o644, size }, &text)
    }

    /// One header with whatever it says, and content of whatever length.
    pub(crate) fn raw(mut self, said: Said<'_>, content: &[u8]) -> Self {
        let mut header = [0u8; 512];
        header[..said.path.len().min(100)].copy_from_slice(&said.path[..said.path.len().min(100)]);
        octal(&mut header[100..108], said.mode.into());
        octal(&mut header[108..116], 1234);
        octal(&mut header[116..124], 1234);
        octal(&mut header[124..136], said.size);
        octal(&mut header[136..148], 1_700_000_000);
        header[156] = said.kind;
        header[157..157 + said.link.len().min(100)].copy_from_slice(&said.link[..said.link.len().min(100)]);
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].copy_from_slice(b"        ");
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        octal(&mut header[148..155], sum);
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// Any bytes.
    pub(crate) fn junk(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The tar, with its end.
    pub(crate) fn done(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }

    /// The tar without its end.
    pub(crate) fn cut(self) -> Vec<u8> {
        self.0
    }
}

fn octal(field: &mut [u8], number: u64) {
    let width = field.len() - 1;
    field[..width].copy_from_slice(format!("{number:0width$o}").as_bytes());
}
