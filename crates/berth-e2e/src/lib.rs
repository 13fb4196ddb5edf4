//! Black-box
