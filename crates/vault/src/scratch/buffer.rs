//! Buffers whose content lies on whole pages.
//!
//! What the kernel copies between pages of its own and a buffer goes several times as fast where both begin at the same
//! place of a page (on processors of AMD's from Zen 3 on, seven times). A head comes before the content, so the buffer
//! begins in front of a page by the length of the head.

/// Bytes with room for a head and a content, which begins on a page.
#[derive(Debug)]
pub(crate) struct PageBuffer {
    bytes: Vec<u8>,
    start: usize,
}

/// Bytes of the pages that matter here; larger ones begin at a multiple of it too.
const PAGE_BYTES: usize = 4096;

impl PageBuffer {
    /// Room for a head of this length and so much content, all zeros.
    pub(crate) fn new(head: usize, content: usize) -> Self {
        let bytes = vec![0u8; PAGE_BYTES + head.next_multiple_of(PAGE_BYTES) + content];
        let to_page = PAGE_BYTES - bytes.as_ptr().addr() % PAGE_BYTES;
        // The first page boundary in it that has room for the head before it.
        let content_start = to_page + head.saturating_sub(to_page).next_multiple_of(PAGE_BYTES);
        Self { start: content_start - head, bytes }
    }

    /// The head, and behind it the content.
    pub(crate) fn get(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// The same, to be written to.
    pub(crate) fn get_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_begins_on_a_page_and_all_of_it_has_room() {
        for head in [0, 1, 16, 80, 4095, 4096, 4097, 9000] {
            let mut buffer = PageBuffer::new(head, 100_000);
            assert!(buffer.get().len() >= head + 100_000, "{head}");
            assert_eq!(buffer.get_mut()[head..].as_ptr().addr() % PAGE_BYTES, 0, "{head}");
        }
    }
}
