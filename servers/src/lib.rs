//! Reference servers: one feed, every transport, one file each.
