//! What may leave: declared outputs, canonical rewriting, capacity in bits.
