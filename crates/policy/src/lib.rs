//! Who may do what: Cedar schema and evaluation, profiles, grants.
