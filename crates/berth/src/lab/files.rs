//! Reading files, with a bound.

use std::io::{self, Read};
use std::path::Path;

use super::error::LabError;

/// Longest policy, expectation or price file, in bytes.
pub(crate) const SMALL_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Longest template, plan or state, in bytes.
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest list of images, in bytes: 100,000 images, ECR's quota for a repository, with layers.
pub(crate) const IMAGES_FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// What stands for standard input.
pub(crate) const STDIN: &str = "-";

/// Reads a text file of at most `bytes_max` bytes; `-` is standard input. The second part is the name for messages.
///
/// # Errors
/// [`LabError`] if it is not there, too long or not text.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> Result<(String, String), LabError> {
    let is_stdin = path == Path::new(STDIN);
    let file = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
    let unreadable = |source| LabError::Unreadable { file: file.clone(), source };
    let mut bytes = Vec::new();
    let limit = bytes_max + 1;
    if is_stdin {
        io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        let opened = std::fs::File::open(path).map_err(unreadable)?;
        opened.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > bytes_max {
        return Err(LabError::TooLarge { file, bytes_max });
    }
    // Some editors begin a file with a mark that is no part of the text.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(bytes);
    match String::from_utf8(bytes) {
        Ok(text) => Ok((text, file)),
        Err(error) => Err(LabError::NotText { offset: error.utf8_error().valid_up_to(), file }),
    }
}
