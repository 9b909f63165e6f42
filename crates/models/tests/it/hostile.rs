//! Hostile models.
