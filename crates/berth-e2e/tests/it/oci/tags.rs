//! The list of tags and its pages.

use anyhow::{Result, ensure};
use berth_e2e::image::Image;
use berth_e2e::oci::{Repository, next_link, strings};
use berth_e2e::target::Target;

async fn tagged(target: &Target, tags: &[&str]) -> Result<Repository> {
    let repository = target.repository().await?;
    let image = Image::oci("tags", 1);
    for blob in image.blobs() {
        repository.push_blob(blob).await?;
    }
    for tag in tags {
        repository.put_manifest(tag, &image.manifest).await?.expect(&[201])?;
    }
    Ok(repository)
}

#[tokio::test]
async fn tags_are_listed_in_lexical_order() -> Result<()> {
    let target = Target::start().await?;
    let repository = tagged(&target, &["v2", "v10", "latest", "v1", "_x", "A"]).await?;
    let body = repository.get("/tags/list").await?.expect(&[200])?.json()?;
    ensure!(body["name"] == repository.name.as_str());
    ensure!(strings(&body["tags"]) == ["A", "_x", "latest", "v1", "v10", "v2"], "{body}");
    Ok(())
}

#[tokio::test]
async fn pages_follow_the_link_header_until_the_end() -> Result<()> {
    let target = Target::start().await?;
    let repository = tagged(&target, &["a", "b", "c", "d", "e"]).await?;
    let mut pages = Vec::new();
    let mut next = Some(repository.path("/tags/list?n=2"));
    while let Some(path) = next {
        let page = repository.oci.get(&path).await?.expect(&[200])?;
        pages.push(strings(&page.json()?["tags"]));
        next = next_link(&page)?;
        ensure!(pages.len() < 10, "the pages never end: {pages:?}");
    }
    ensure!(pages == [vec!["a", "b"], vec!["c", "d"], vec!["e"]], "{pages:?}");
    Ok(())
}

#[tokio::test]
async fn last_starts_after_a_tag_whether_it_exists_or_not() -> Result<()> {
    let target = Target::start().await?;
    let repository = tagged(&target, &["a", "c", "d"]).await?;
    for last in ["a", "b"] {
        let body = repository.get(&format!("/tags/list?n=10&last={last}")).await?.expect(&[200])?.json()?;
        ensure!(strings(&body["tags"]) == ["c", "d"], "last={last}: {body}");
    }
    Ok(())
}

#[tokio::test]
async fn n_of_zero_gives_an_empty_list_without_a_link() -> Result<()> {
    let target = Target::start().await?;
    let repository = tagged(&target, &["a"]).await?;
    let answer = repository.get("/tags/list?n=0").await?.expect(&[200])?;
    ensure!(strings(&answer.json()?["tags"]).is_empty());
    ensure!(answer.header("link").is_none(), "the specification forbids a Link here");
    Ok(())
}

#[tokio::test]
async fn a_page_as_long_as_the_list_has_no_next() -> Result<()> {
    let target = Target::start().await?;
    let repository = tagged(&target, &["a", "b"]).await?;
    let answer = repository.get("/tags/list?n=2").await?.expect(&[200])?;
    ensure!(strings(&answer.json()?["tags"]) == ["a", "b"]);
    ensure!(answer.header("link").is_none(), "{:?}", answer.headers);
    Ok(())
}

#[tokio::test]
async fn n_that_is_no_number_is_refused() -> Result<()> {
    let target = Target::start().await?;
    let repository = tagged(&target, &["a"]).await?;
    for n in ["-1", "x", "1e3", "1.5"] {
        repository.get(&format!("/tags/list?n={n}")).await?.expect(&[400])?;
    }
    Ok(())
}
