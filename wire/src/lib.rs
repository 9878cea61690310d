//! What is on the wire: sans-IO scanners that assign every byte of a connection to a layer.
