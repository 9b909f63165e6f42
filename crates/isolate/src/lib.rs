//! From a grant to a contained process, and back to nothing.
