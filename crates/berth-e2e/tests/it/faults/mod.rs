//! What must hold when the process dies, when the disk is read, and when a layer is larger than memory.

mod crash;
mod memory;
mod process;
mod secrecy;
mod startup;
mod time;
