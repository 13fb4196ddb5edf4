//! Listings and their pages.

use berth_types::Digest;

use super::fixture::{ALL, all_images, at, image, push, repository, tag, tags};
use crate::meta::{
    ImageIdCursor, ImageIdRecord, ImageRecord, MetaStore, NewImage, RepositoryId, RepositoryRecord, TagStatus,
};

/// Three images: two tags, none, one tag.
async fn three(store: &dyn MetaStore) -> (RepositoryRecord, [Digest; 3]) {
    let repository = repository(store, "aa").await;
    let first = push(store, &repository, "first", &["b", "a"]).await;
    let second = push(store, &repository, "second", &[]).await;
    let third = push(store, &repository, "third", &["A"]).await;
    (repository, [first, second, third])
}

fn digests(images: &[ImageRecord]) -> Vec<Digest> {
    images.iter().map(|image| image.digest).collect()
}

fn pairs(ids: &[ImageIdRecord]) -> Vec<(Digest, Option<&str>)> {
    ids.iter().map(|id| (id.digest, id.tag.as_ref().map(berth_types::Tag::as_str))).collect()
}

fn after(id: &ImageIdRecord) -> ImageIdCursor {
    ImageIdCursor { image: id.image, tag: id.tag.clone() }
}

pub(super) async fn images_come_oldest_push_first(store: &dyn MetaStore) {
    let (repository, expected) = three(store).await;
    let images = all_images(store, repository.id).await;
    assert_eq!(digests(&images), expected);
    assert_eq!(images[0].tags, tags(&["a", "b"]));
    assert!(images.is_sorted_by_key(|image| image.cursor));
    assert_eq!(store.image(repository.id, &expected[0]).await.unwrap().as_ref(), Some(&images[0]));
    let page = store.images(repository.id, TagStatus::Any, None, 1).await.unwrap();
    assert_eq!(page, images[..1], "a page counts images, not tags");
    let page = store.images(repository.id, TagStatus::Any, Some(images[0].cursor), 1).await.unwrap();
    assert_eq!(page, images[1..2]);
    let page = store.images(repository.id, TagStatus::Any, Some(images[2].cursor), 1).await.unwrap();
    assert_eq!(page, []);
}

pub(super) async fn images_are_filtered_by_tag_status(store: &dyn MetaStore) {
    let (repository, [first, second, third]) = three(store).await;
    let list = async |filter, after, limit| {
        digests(&store.images(repository.id, filter, after, limit).await.unwrap())
    };
    assert_eq!(list(TagStatus::Tagged, None, ALL).await, [first, third]);
    assert_eq!(list(TagStatus::Untagged, None, ALL).await, [second]);
    let cursor = all_images(store, repository.id).await[0].cursor;
    assert_eq!(list(TagStatus::Tagged, Some(cursor), 1).await, [third]);
    assert_eq!(list(TagStatus::Untagged, Some(cursor), 1).await, [second]);
    store.delete_tag(repository.id, &tag("A"), None, false, at(20)).await.unwrap();
    assert_eq!(list(TagStatus::Tagged, None, ALL).await, [first]);
    assert_eq!(list(TagStatus::Untagged, None, ALL).await, [second, third]);
}

pub(super) async fn a_page_of_images_continues_after_a_deleted_one(store: &dyn MetaStore) {
    let (repository, expected) = three(store).await;
    let images = all_images(store, repository.id).await;
    store.delete_image(repository.id, &expected[1], at(20)).await.unwrap();
    let page = store.images(repository.id, TagStatus::Any, Some(images[1].cursor), ALL).await.unwrap();
    assert_eq!(page, images[2..]);
}

pub(super) async fn the_last_image_deleted_does_not_hide_the_next_push(store: &dyn MetaStore) {
    let (repository, expected) = three(store).await;
    let last = all_images(store, repository.id).await[2].cursor;
    store.delete_image(repository.id, &expected[2], at(20)).await.unwrap();
    let next = push(store, &repository, "next", &[]).await;
    let page = store.images(repository.id, TagStatus::Any, Some(last), ALL).await.unwrap();
    assert_eq!(digests(&page), [next]);
}

pub(super) async fn image_ids_are_pairs_in_order(store: &dyn MetaStore) {
    let (repository, [first, second, third]) = three(store).await;
    let ids = store.image_ids(repository.id, TagStatus::Any, None, ALL).await.unwrap();
    let expected = [(first, Some("a")), (first, Some("b")), (second, None), (third, Some("A"))];
    assert_eq!(pairs(&ids), expected);
    let images = all_images(store, repository.id).await;
    assert_eq!(ids[0].image, images[0].cursor);
    assert_eq!(ids[3].image, images[2].cursor);
}

pub(super) async fn image_ids_are_filtered_by_tag_status(store: &dyn MetaStore) {
    let (repository, [first, second, third]) = three(store).await;
    let tagged = store.image_ids(repository.id, TagStatus::Tagged, None, ALL).await.unwrap();
    assert_eq!(pairs(&tagged), [(first, Some("a")), (first, Some("b")), (third, Some("A"))]);
    let rest =
        store.image_ids(repository.id, TagStatus::Tagged, Some(&after(&tagged[0])), ALL).await.unwrap();
    assert_eq!(rest, tagged[1..]);
    let untagged = store.image_ids(repository.id, TagStatus::Untagged, None, ALL).await.unwrap();
    assert_eq!(pairs(&untagged), [(second, None)]);
    let cursor = after(&untagged[0]);
    assert_eq!(store.image_ids(repository.id, TagStatus::Untagged, Some(&cursor), ALL).await.unwrap(), []);
}

pub(super) async fn image_ids_continue_inside_an_image(store: &dyn MetaStore) {
    let (repository, _) = three(store).await;
    let all = store.image_ids(repository.id, TagStatus::Any, None, ALL).await.unwrap();
    for limit in 1..=all.len() {
        let mut collected: Vec<ImageIdRecord> = Vec::new();
        loop {
            let cursor = collected.last().map(after);
            let page = store.image_ids(repository.id, TagStatus::Any, cursor.as_ref(), limit).await.unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            collected.extend(page);
        }
        assert_eq!(collected, all, "pages of {limit}");
    }
}

pub(super) async fn image_ids_continue_after_what_is_gone(store: &dyn MetaStore) {
    let (repository, digests) = three(store).await;
    let all = store.image_ids(repository.id, TagStatus::Any, None, ALL).await.unwrap();
    let rest = async |cursor: &ImageIdRecord| {
        store.image_ids(repository.id, TagStatus::Any, Some(&after(cursor)), ALL).await.unwrap()
    };
    // The tag is gone, the image is not.
    store.delete_tag(repository.id, &tag("a"), None, false, at(20)).await.unwrap();
    assert_eq!(rest(&all[0]).await, all[1..]);
    // The image has no tags left: it was listed under the tag that is gone, and is not listed again.
    store.delete_tag(repository.id, &tag("b"), None, false, at(20)).await.unwrap();
    assert_eq!(rest(&all[1]).await, all[2..]);
    // The image is gone.
    store.delete_image(repository.id, &digests[1], at(20)).await.unwrap();
    assert_eq!(rest(&all[2]).await, all[3..]);
    // An untagged image that was listed gets a tag: that pair comes after it.
    push(store, &repository, "first", &["new"]).await;
    let untagged = ImageIdRecord { tag: None, ..all[0].clone() };
    assert_eq!(pairs(&rest(&untagged).await)[0], (digests[0], Some("new")));
}

pub(super) async fn tags_are_in_byte_order(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    push(store, &repository, "one", &["b", "B", "v10", "v9"]).await;
    push(store, &repository, "two", &["_", "a", "V1"]).await;
    let expected = tags(&["B", "V1", "_", "a", "b", "v10", "v9"]);
    assert_eq!(store.tags(repository.id, None, ALL).await.unwrap(), expected);
    assert_eq!(store.tags(repository.id, None, 3).await.unwrap(), expected[..3]);
}

pub(super) async fn tags_continue_after_any_tag(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    push(store, &repository, "one", &["a", "b", "c"]).await;
    assert_eq!(store.tags(repository.id, Some(&tag("a")), 1).await.unwrap(), tags(&["b"]));
    assert_eq!(store.tags(repository.id, Some(&tag("aa")), ALL).await.unwrap(), tags(&["b", "c"]));
    assert_eq!(store.tags(repository.id, Some(&tag("c")), ALL).await.unwrap(), []);
}

pub(super) async fn referrers_are_found_by_subject(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let (subject, other) = (Digest::sha256(b"subject"), Digest::sha256(b"other"));
    let mut expected = Vec::new();
    for text in ["z", "m", "a"] {
        let new = NewImage { subject: Some(subject), ..image(repository.id, text, &[]) };
        store.put_image(&new).await.unwrap();
        expected.push(new.digest);
    }
    let unrelated = NewImage { subject: Some(other), ..image(repository.id, "unrelated", &[]) };
    store.put_image(&unrelated).await.unwrap();
    let found = store.referrers(repository.id, &subject, None, None, ALL).await.unwrap();
    assert_eq!(found.iter().map(|manifest| manifest.digest).collect::<Vec<_>>(), expected);
    assert_eq!(found[0].sealed, b"sealed z");
    assert_eq!(store.referrers(repository.id, &unrelated.digest, None, None, ALL).await.unwrap(), []);
}

pub(super) async fn referrers_are_filtered_by_type_and_paged(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let subject = Digest::sha256(b"subject");
    for (text, artifact_type) in [("1", Some("sbom")), ("2", Some("sig")), ("3", None), ("4", Some("sig"))] {
        let new = NewImage {
            subject: Some(subject),
            artifact_type: artifact_type.map(str::to_owned),
            ..image(repository.id, text, &[])
        };
        store.put_image(&new).await.unwrap();
    }
    let list = async |artifact_type, after, limit| {
        store.referrers(repository.id, &subject, artifact_type, after, limit).await.unwrap()
    };
    let all = list(None, None, ALL).await;
    assert_eq!(all.len(), 4);
    assert_eq!(list(None, Some(all[0].cursor), 2).await, all[1..3]);
    let signatures = list(Some("sig"), None, ALL).await;
    assert_eq!(signatures, [all[1].clone(), all[3].clone()]);
    assert_eq!(list(Some("sig"), Some(signatures[0].cursor), 1).await, signatures[1..]);
    assert_eq!(list(Some("other"), None, ALL).await, []);
}

pub(super) async fn listings_of_an_absent_repository_are_empty(store: &dyn MetaStore) {
    let id = RepositoryId(99);
    assert_eq!(store.images(id, TagStatus::Any, None, ALL).await.unwrap(), []);
    assert_eq!(store.image_ids(id, TagStatus::Any, None, ALL).await.unwrap(), []);
    assert_eq!(store.tags(id, None, ALL).await.unwrap(), []);
    assert_eq!(store.referrers(id, &Digest::sha256(b""), None, None, ALL).await.unwrap(), []);
}

pub(super) async fn no_rows_are_asked_for_and_none_come(store: &dyn MetaStore) {
    let (repository, _) = three(store).await;
    assert_eq!(store.images(repository.id, TagStatus::Any, None, 0).await.unwrap(), []);
    assert_eq!(store.image_ids(repository.id, TagStatus::Any, None, 0).await.unwrap(), []);
    assert_eq!(store.tags(repository.id, None, 0).await.unwrap(), []);
}
