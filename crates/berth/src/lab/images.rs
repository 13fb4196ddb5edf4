//! The images of a repository, as `aws ecr describe-images` lists them.
//!
//! Read from a file: the whole answer, the bare list, or several pages one after the other. Beside the members that ECR
//! knows, an entry may have `references` (digests of an index's children), `storageClass` and `layers`
//! (`[{"digest", "size"}]`, the configuration included), which the API tells elsewhere.

use std::collections::HashSet;
use std::fmt;

use berth_lifecycle::{Image, ImageKind, ImageStorage};
use berth_types::{Digest, ManifestKind, MediaType, Tag, Timestamp};
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::LabError;
use super::units::{moment_from_seconds, parse_moment, to_f64};

/// A blob of an image and its size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layer {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// The images of one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inventory {
    /// The repository, if the input names it.
    pub(crate) repository: Option<String>,
    /// In the order of the input, each digest once.
    pub(crate) images: Vec<Image>,
    /// For each image its blobs, where they are known.
    pub(crate) layers: Vec<Option<Vec<Layer>>>,
    /// Entries left out because their digest was there already.
    pub(crate) repeated: usize,
}

impl Inventory {
    /// Reads what `aws ecr describe-images` prints. `file` is the name for messages.
    ///
    /// # Errors
    /// [`LabError`] with the line and column of the first thing that is wrong.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, LabError> {
        let mut inventory = Self::default();
        let mut seen = HashSet::new();
        let mut pages = 0_usize;
        for page in serde_json::Deserializer::from_str(text).into_iter::<Page>() {
            let Page(details) = page.map_err(|error| LabError::from_json(file, &error))?;
            pages += 1;
            for detail in details {
                if seen.insert(detail.image_digest) {
                    inventory.add(detail);
                } else {
                    inventory.repeated += 1;
                }
            }
        }
        if pages == 0 {
            return Err(LabError::whole(
                file,
                "the file is empty; `aws ecr describe-images` prints what belongs there",
            ));
        }
        Ok(inventory)
    }

    fn add(&mut self, detail: Detail) {
        if self.repository.is_none() {
            self.repository = detail.repository_name.clone();
        }
        let (image, layers) = detail.split();
        self.images.push(image);
        self.layers.push(layers);
    }

    /// Bytes of all images together, each counted whole, as the API has it.
    pub(crate) fn bytes(&self) -> u64 {
        self.images.iter().fold(0, |sum, image| sum.saturating_add(image.size_bytes.unwrap_or(0)))
    }

    /// The place of the image with this tag, digest, or beginning of a digest.
    pub(crate) fn find(&self, name: &str) -> Result<usize, String> {
        let by_tag = |image: &Image| image.tags.iter().any(|tag| tag.as_str() == name);
        if let Some(place) = self.images.iter().position(by_tag) {
            return Ok(place);
        }
        let hex = name.strip_prefix("sha256:").unwrap_or(name);
        let is_hex = hex.len() >= DIGEST_CHARS_MIN && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut found = self.images.iter().enumerate().filter(|(_, image)| {
            is_hex && (image.digest.to_string() == name || image.digest.hex().starts_with(hex))
        });
        match (found.next(), found.next()) {
            (Some((place, _)), None) => Ok(place),
            (Some(_), Some(_)) => Err(format!("several images have a digest that begins with {name:?}")),
            (None, _) => Err(format!("no image has the tag or digest {name:?}")),
        }
    }
}

/// The fewest characters by which an image may be named by its digest.
const DIGEST_CHARS_MIN: usize = 6;

/// How a person knows an image: its tags, else the beginning of its digest.
pub(crate) fn name(image: &Image) -> String {
    if image.tags.is_empty() {
        return short_digest(&image.digest);
    }
    let tags: Vec<&str> = image.tags.iter().take(TAGS_SHOWN_MAX).map(Tag::as_str).collect();
    let more = image.tags.len() - tags.len();
    if more > 0 { format!("{}, +{more}", tags.join(", ")) } else { tags.join(", ") }
}

/// Tags of one image that a line shows.
const TAGS_SHOWN_MAX: usize = 3;

/// The beginning of a digest, enough to tell images of one repository apart.
pub(crate) fn short_digest(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("{}:{}", digest.algorithm().name(), hex.get(..12).unwrap_or(&hex))
}

/// One JSON document of the input.
struct Page(Vec<Detail>);

impl<'de> Deserialize<'de> for Page {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PageVisitor)
    }
}

struct PageVisitor;

impl<'de> Visitor<'de> for PageVisitor {
    type Value = Page;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the output of `aws ecr describe-images`: an object with imageDetails, or that list alone",
        )
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Page, A::Error> {
        let mut details = Vec::new();
        while let Some(detail) = list.next_element()? {
            details.push(detail);
        }
        Ok(Page(details))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Page, A::Error> {
        let mut details: Option<Vec<Detail>> = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "imageDetails" {
                details = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        let missing = "there is no imageDetails; the output of `aws ecr describe-images` has it";
        details.map(Page).ok_or_else(|| de::Error::custom(missing))
    }
}

/// One entry. What is not needed here (scan results, for one) is passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    repository_name: Option<String>,
    image_digest: Digest,
    image_tags: Option<Vec<Tag>>,
    image_pushed_at: Moment,
    image_size_in_bytes: Option<u64>,
    image_manifest_media_type: Option<MediaType>,
    image_status: Option<Status>,
    storage_class: Option<Class>,
    last_recorded_pull_time: Option<Moment>,
    last_archived_at: Option<Moment>,
    last_activated_at: Option<Moment>,
    subject_manifest_digest: Option<Digest>,
    references: Option<Vec<Digest>>,
    layers: Option<Vec<Layer>>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    Active,
    Archived,
    Activating,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum Class {
    Standard,
    Archive,
}

impl Detail {
    fn split(self) -> (Image, Option<Vec<Layer>>) {
        let references = self.references.unwrap_or_default();
        let kind = self.image_manifest_media_type.and_then(|media| media.manifest_kind());
        let is_index = kind == Some(ManifestKind::Index) || !references.is_empty();
        let storage = match (self.image_status, self.storage_class) {
            (Some(Status::Archived), _) | (None | Some(Status::Active), Some(Class::Archive)) => {
                ImageStorage::Archive
            }
            (Some(Status::Activating), _) => ImageStorage::Activating,
            (None | Some(Status::Active), _) => ImageStorage::Standard,
        };
        let moment = |moment: Option<Moment>| moment.map(|Moment(moment)| moment);
        let image = Image {
            tags: self.image_tags.unwrap_or_default(),
            last_pulled_at: moment(self.last_recorded_pull_time),
            last_archived_at: moment(self.last_archived_at),
            last_activated_at: moment(self.last_activated_at),
            storage,
            kind: if is_index { ImageKind::Index } else { ImageKind::Image },
            references,
            subject: self.subject_manifest_digest,
            // ECR gives an index the size of its largest child, which is listed itself and would count twice.
            size_bytes: if is_index { None } else { self.image_size_in_bytes },
            ..Image::new(self.image_digest, self.image_pushed_at.0)
        };
        (image, self.layers)
    }
}

/// A time in RFC 3339 or in epoch seconds.
#[derive(Clone, Copy)]
struct Moment(Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MomentVisitor)
    }
}

struct MomentVisitor;

impl Visitor<'_> for MomentVisitor {
    type Value = Moment;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time in RFC 3339 or in epoch seconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
        parse_moment(text).map(Moment).map_err(de::Error::custom)
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Moment, E> {
        moment_from_seconds(seconds).map(Moment).map_err(de::Error::custom)
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Moment, E> {
        self.visit_f64(to_f64(seconds))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Moment, E> {
        Err(E::custom(format!("{seconds} is no time in epoch seconds")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:da90eac985bfede3eb3ac6872866ebb11d3bd474cb7c56ee28700a309f45cc01";

    fn entry(more: &str) -> String {
        format!("{{\"imageDigest\": \"{DIGEST}\", \"imagePushedAt\": 1767225600.5{more}}}")
    }

    #[test]
    fn every_form_of_the_listing_is_read() {
        let one = entry("");
        let whole = format!("{{\"imageDetails\": [{one}], \"nextToken\": \"x\"}}");
        for (text, images, repeated) in [
            (whole.clone(), 1, 0),
            (format!("[{one}]"), 1, 0),
            (format!("{whole}\n{{\"imageDetails\": []}}"), 1, 0),
            (format!("{whole}\n{whole}"), 1, 1),
            ("[]".to_owned(), 0, 0),
        ] {
            let inventory = Inventory::parse("i.json", &text).unwrap();
            assert_eq!((inventory.images.len(), inventory.repeated), (images, repeated), "{text}");
        }
    }

    #[test]
    fn an_entry_says_what_the_engine_needs() {
        let more = format!(
            ", \"imageTags\": [\"v1\"], \"imageStatus\": \"ARCHIVED\", \"lastArchivedAt\": \"2026-01-02T00:00:00+00:00\", \
             \"imageSizeInBytes\": 7, \"imageScanStatus\": {{\"status\": \"COMPLETE\"}}, \
             \"repositoryName\": \"shop/api\", \"layers\": [{{\"digest\": \"{DIGEST}\", \"size\": 7}}]"
        );
        let inventory = Inventory::parse("i.json", &format!("[{}]", entry(&more))).unwrap();
        let image = &inventory.images[0];
        assert_eq!(image.pushed_at, Timestamp::from_millis(1_767_225_600_500));
        assert_eq!(image.last_archived_at, Some(Timestamp::from_millis(1_767_312_000_000)));
        assert_eq!((image.storage, image.kind), (ImageStorage::Archive, ImageKind::Image));
        assert_eq!((inventory.bytes(), inventory.repository.as_deref()), (7, Some("shop/api")));
        assert_eq!(inventory.layers[0].as_ref().unwrap()[0].size, 7);
        let index = entry(&format!(", \"imageSizeInBytes\": 7, \"references\": [\"{DIGEST}\"]"));
        let index = Inventory::parse("i.json", &format!("[{index}]")).unwrap();
        assert_eq!((index.images[0].kind, index.bytes()), (ImageKind::Index, 0), "its children count");
        for name in ["v1", DIGEST, "da90ea", "sha256:da90eac985"] {
            assert_eq!(inventory.find(name), Ok(0), "{name}");
        }
        for name in ["v2", "da90e", "", "sha256:", "zzzzzz"] {
            assert!(inventory.find(name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, message) in [
            (String::new(), "i.json: the file is empty; `aws ecr describe-images` prints what belongs there"),
            (
                "{\n}".to_owned(),
                "i.json:2:1: there is no imageDetails; the output of `aws ecr describe-images` has it",
            ),
            ("[{}]".to_owned(), "i.json:1:3: missing field `imageDigest`"),
            ("[\n{\"imageDigest\": \"sha256:1\"}]".to_owned(), "i.json:2:"),
            (
                "7".to_owned(),
                "i.json:1:1: invalid type: integer `7`, expected the output of `aws ecr describe-images`",
            ),
            (format!("[{}]", entry(", \"imageTags\": [\"a b\"]")), "i.json:1:"),
            (format!("[{}]", entry(", \"imageStatus\": \"GONE\"")), "i.json:1:"),
            (format!("[{}]", entry(", \"imageSizeInBytes\": -1")), "i.json:1:"),
            (format!("[{}", entry("")), "i.json:1:"),
            ("[{\"imagePushedAt\": 1767225600000}]".to_owned(), "i.json:1:32: 1767225600000 is too large"),
            ("[{\"imagePushedAt\": \"soon\"}]".to_owned(), "i.json:1:25: \"soon\" is no time"),
        ] {
            let error = Inventory::parse("i.json", &text).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
