//! What a repository's images occupy: each blob once, as ECR stores and bills it.

use std::collections::HashMap;

use berth_types::Digest;

use super::images::{Inventory, Layer};

/// Blobs and how many images have them. Images of which only the size is known count with that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    blobs: HashMap<Digest, (u64, u32)>,
    bytes: u64,
}

impl Usage {
    /// All images of an inventory for which `is_wanted` holds.
    pub(crate) fn of(inventory: &Inventory, is_wanted: impl Fn(usize) -> bool) -> Self {
        let mut usage = Self::default();
        for (place, image) in inventory.images.iter().enumerate().filter(|(place, _)| is_wanted(*place)) {
            usage.add(image.size_bytes, inventory.layers[place].as_deref());
        }
        usage
    }

    /// Bytes stored.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// One more image.
    pub(crate) fn add(&mut self, size: Option<u64>, layers: Option<&[Layer]>) {
        let Some(layers) = layers else {
            self.bytes = self.bytes.saturating_add(size.unwrap_or(0));
            return;
        };
        for layer in layers {
            let (size, images) = self.blobs.entry(layer.digest).or_insert((layer.size, 0));
            if *images == 0 {
                self.bytes = self.bytes.saturating_add(*size);
            }
            *images += 1;
        }
    }

    /// One image less, which was added before.
    pub(crate) fn remove(&mut self, size: Option<u64>, layers: Option<&[Layer]>) {
        let Some(layers) = layers else {
            self.bytes = self.bytes.saturating_sub(size.unwrap_or(0));
            return;
        };
        for layer in layers {
            let Some((size, images)) = self.blobs.get_mut(&layer.digest) else { continue };
            *images = images.saturating_sub(1);
            if *images == 0 {
                self.bytes = self.bytes.saturating_sub(*size);
                self.blobs.remove(&layer.digest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_blob_is_stored_until_its_last_image_goes() {
        let layer = |name: &str, size| Layer { digest: Digest::sha256(name.as_bytes()), size };
        let (base, one, two) = (layer("base", 100), layer("one", 10), layer("two", 20));
        let mut usage = Usage::default();
        usage.add(None, Some(&[base, one, base]));
        usage.add(Some(120), Some(&[base, two]));
        usage.add(Some(7), None);
        assert_eq!(usage.bytes(), 137);
        usage.remove(None, Some(&[base, one, base]));
        assert_eq!(usage.bytes(), 127);
        usage.remove(Some(120), Some(&[base, two]));
        usage.remove(Some(7), None);
        assert_eq!(usage.bytes(), 0);
    }
}
