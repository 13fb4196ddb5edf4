//! Tags, `ListImages` and `DescribeImages` in pages.

use berth_registry::TagStatus;
use berth_types::Tag;

use crate::fixture::{World, assert_no_repository, nowhere, on_each_store, tag};

on_each_store!(tags_in_pages, image_ids_in_pages, images_in_pages);

async fn tags_in_pages(world: World) {
    let shop = world.create("shop/api").await;
    world.push_image(&shop, "layer", &["b", "a", "C", "10", "9"]).await.unwrap();
    let (registry, caller) = (&world.registry, &world.caller);
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = registry.tags(caller, &shop, after.as_ref(), 2).await.unwrap();
        seen.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let seen: Vec<_> = seen.iter().map(Tag::as_str).collect();
    assert_eq!(seen, ["10", "9", "C", "a", "b"], "byte order");
    let from_middle = registry.tags(caller, &shop, Some(&tag("Z")), 10).await.unwrap();
    assert_eq!(from_middle.items.len(), 2, "the tag to go on after need not exist");
    let none = registry.tags(caller, &shop, None, 0).await.unwrap();
    assert_eq!((none.items.len(), none.next), (0, None));
    assert_no_repository(registry.tags(caller, &nowhere(), None, 10).await);
}

async fn image_ids_in_pages(world: World) {
    let shop = world.create("shop/api").await;
    world.push_image(&shop, "one", &["a", "b", "c"]).await.unwrap();
    world.push_image(&shop, "two", &[]).await.unwrap();
    world.push_image(&shop, "three", &["d"]).await.unwrap();
    let (registry, caller) = (&world.registry, &world.caller);
    for (filter, expected) in [
        (TagStatus::Any, vec!["a", "b", "c", "-", "d"]),
        (TagStatus::Tagged, vec!["a", "b", "c", "d"]),
        (TagStatus::Untagged, vec!["-"]),
    ] {
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = registry.image_ids(caller, &shop, filter, after.as_ref(), 2).await.unwrap();
            seen.extend(
                page.items.into_iter().map(|id| id.tag.map_or("-".to_owned(), |tag| tag.to_string())),
            );
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected, "{filter:?}");
    }
    assert_no_repository(registry.image_ids(caller, &nowhere(), TagStatus::Any, None, 10).await);
}

async fn images_in_pages(world: World) {
    let shop = world.create("shop/api").await;
    let mut pushed = Vec::new();
    for (layer, tags) in [("one", &["a"][..]), ("two", &[]), ("three", &["b"])] {
        pushed.push(world.push_image(&shop, layer, tags).await.unwrap().digest);
    }
    let (registry, caller) = (&world.registry, &world.caller);
    for (filter, expected) in [
        (TagStatus::Any, vec![pushed[0], pushed[1], pushed[2]]),
        (TagStatus::Tagged, vec![pushed[0], pushed[2]]),
        (TagStatus::Untagged, vec![pushed[1]]),
    ] {
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = registry.images(caller, &shop, filter, after, 1).await.unwrap();
            seen.extend(page.items.into_iter().map(|image| image.digest));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected, "{filter:?}");
    }
    assert_no_repository(registry.images(caller, &nowhere(), TagStatus::Any, None, 10).await);
}
