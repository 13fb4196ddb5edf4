//! Which image belongs to which: the children of an index, the referrers of a subject.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use berth_types::Digest;

use super::{Image, ImageStorage};

/// How many steps from referrer to referrer are followed. Real chains have one or two; the bound also ends a circle,
/// which only broken input can contain.
const CHAIN_MAX: usize = 16;

/// The relations between the images of one repository, by their places in the input.
pub(super) struct Relations {
    /// For each image, an index that refers to it and is not archived. Empty if no image refers to another.
    parents: Vec<Option<u32>>,
    /// For each image, the image it is about, if that is in the repository. Empty if there are no referrers.
    subjects: Vec<Option<u32>>,
}

impl Relations {
    pub(super) fn of(images: &[Image]) -> Self {
        let has_children = images.iter().any(|image| !image.references.is_empty());
        let has_referrers = images.iter().any(|image| image.subject.is_some());
        if !has_children && !has_referrers {
            return Self { parents: Vec::new(), subjects: Vec::new() };
        }
        let places: Places<'_> = images.iter().map(|image| Key(&image.digest)).zip(0..).collect();
        let parents = if has_children { parents(images, &places) } else { Vec::new() };
        let subjects = if has_referrers { subjects(images, &places) } else { Vec::new() };
        Self { parents, subjects }
    }

    /// An index that is not archived and refers to the image; of several, the one with the smallest digest.
    pub(super) fn parent(&self, place: usize) -> Option<usize> {
        self.parents.get(place).copied().flatten().map(|parent| parent as usize)
    }

    /// The image that the referrer at `place` is about, if it is in the repository.
    pub(super) fn subject(&self, place: usize) -> Option<usize> {
        self.subjects.get(place).copied().flatten().map(|subject| subject as usize)
    }

    /// The end of the chain from referrer to subject, which is an image that rules judge. A signature of an SBOM of an
    /// image goes with the image.
    pub(super) fn root_subject(&self, place: usize) -> Option<usize> {
        let mut root = self.subject(place)?;
        for _ in 0..CHAIN_MAX {
            match self.subject(root) {
                Some(next) => root = next,
                None => break,
            }
        }
        Some(root)
    }
}

/// Where each digest is.
type Places<'a> = HashMap<Key<'a>, u32, BuildHasherDefault<Prefix>>;

/// A digest as a key. It is a hash already: its first eight bytes serve, and hashing them again would be most of the work
/// of an evaluation with many indexes.
#[derive(PartialEq, Eq)]
struct Key<'a>(&'a Digest);

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.hash());
    }
}

#[derive(Default)]
struct Prefix(u64);

impl Hasher for Prefix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.first_chunk().map_or(0, |prefix| u64::from_le_bytes(*prefix));
    }
}

/// An archived index does not hold its children: ECR lets them go once it is "deleted or archived".
fn parents(images: &[Image], places: &Places<'_>) -> Vec<Option<u32>> {
    let mut parents: Vec<Option<u32>> = vec![None; images.len()];
    for (parent, image) in (0_u32..).zip(images).filter(|(_, image)| image.storage != ImageStorage::Archive) {
        for child in &image.references {
            let Some(child) = places.get(&Key(child)).copied().filter(|child| *child != parent) else {
                continue;
            };
            let known = &mut parents[child as usize];
            if known.is_none_or(|known| image.digest < images[known as usize].digest) {
                *known = Some(parent);
            }
        }
    }
    parents
}

fn subjects(images: &[Image], places: &Places<'_>) -> Vec<Option<u32>> {
    let mut subjects = vec![None; images.len()];
    for (referrer, image) in (0_u32..).zip(images) {
        let subject = image.subject.as_ref().and_then(|subject| places.get(&Key(subject))).copied();
        subjects[referrer as usize] = subject.filter(|subject| *subject != referrer);
    }
    subjects
}
