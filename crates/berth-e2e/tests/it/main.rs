//! Black-box tests: a running registry, spoken to as its users do.

mod clients;
mod ecr;
mod faults;
mod module;
mod oci;
