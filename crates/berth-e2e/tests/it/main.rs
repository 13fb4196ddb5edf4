//! Black-box tests: a running registry, spoken to as its users do.

mod oci;
