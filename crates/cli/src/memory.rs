//! Memory that every command is going to use, fetched at once: some fifty page faults less, each of which takes
//! microseconds in a virtual machine.

/// Bytes of heap that a short command uses.
const HEAP: usize = 192 << 10;

/// The allocator takes its pieces from here; from 128 KiB on it would ask the kernel for each by itself.
const PIECE: usize = 96 << 10;
/// More than what was given back so far, so that it comes from the end of the heap.
const END: usize = 8 << 10;

/// Fetches the memory. Where the kernel does not do it, it comes page by page, as it is used.
pub(crate) fn fetch() {
    let mut pieces: Vec<Vec<u8>> = Vec::with_capacity(HEAP / PIECE);
    for _ in 0..HEAP / PIECE {
        let mut piece = Vec::with_capacity(PIECE);
        let _ = hotcell_sys::memory::fetch(piece.spare_capacity_mut());
        pieces.push(piece);
    }
    // Stays, at the end of the heap: what the pieces give back is not given back to the kernel.
    std::mem::forget(Vec::<u8>::with_capacity(END));
}
