//! The release is tried as its users meet it.
