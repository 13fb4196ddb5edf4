//! What was acknowledged is there after the process is killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use futures_util::future::join_all;

use super::{MetaStore as _, SqliteMeta, assert_sound};
use crate::meta::conformance::fixture::{by_tag, image, name, push, registry, repository};

#[tokio::test]
async fn a_copy_of_the_files_has_what_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteMeta::open(&directory.path().join("meta.db")).unwrap();
    let aa = repository(&store, "aa").await;
    push(&store, &aa, "one", &["v1"]).await;
    // As a crash would leave them: nothing was closed, and the shared memory is lost.
    let after = tempfile::tempdir().unwrap();
    for file in ["meta.db", "meta.db-wal"] {
        std::fs::copy(directory.path().join(file), after.path().join(file)).unwrap();
    }
    push(&store, &aa, "two", &["v2"]).await;
    let recovered = SqliteMeta::open(&after.path().join("meta.db")).unwrap();
    assert!(recovered.manifest(aa.id, &by_tag("v1")).await.unwrap().is_some());
    assert!(recovered.manifest(aa.id, &by_tag("v2")).await.unwrap().is_none());
    assert_sound(&recovered);
}

#[tokio::test]
async fn a_transaction_cut_off_in_the_log_is_as_if_it_had_never_been() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteMeta::open(&directory.path().join("meta.db")).unwrap();
    let aa = repository(&store, "aa").await;
    push(&store, &aa, "one", &["v1"]).await;
    let log = directory.path().join("meta.db-wal");
    let acknowledged = log.metadata().unwrap().len();
    push(&store, &aa, "two", &["v2"]).await;
    let whole = std::fs::read(&log).unwrap();
    let whole_length = whole.len() as u64;
    assert!(whole_length > acknowledged);
    let database = std::fs::read(directory.path().join("meta.db")).unwrap();
    for cut in (acknowledged..=whole_length).step_by(1_000).chain([whole_length]) {
        let after = tempfile::tempdir().unwrap();
        std::fs::write(after.path().join("meta.db"), &database).unwrap();
        std::fs::write(after.path().join("meta.db-wal"), &whole[..cut as usize]).unwrap();
        let recovered = SqliteMeta::open(&after.path().join("meta.db")).unwrap();
        assert!(recovered.manifest(aa.id, &by_tag("v1")).await.unwrap().is_some());
        let second = recovered.manifest(aa.id, &by_tag("v2")).await.unwrap();
        assert_eq!(second.is_some(), cut == whole_length, "cut at {cut} of {whole_length}");
        assert_sound(&recovered);
    }
}

/// Names the database to the child process that this test starts of itself.
const CHILD: &str = "BERTH_TEST_META_CRASH";
const THIS: &str = "meta::sqlite::tests::crash::a_killed_process_loses_nothing_it_acknowledged";

#[tokio::test]
async fn a_killed_process_loses_nothing_it_acknowledged() {
    if let Some(path) = std::env::var_os(CHILD) {
        push_until_killed(Path::new(&path)).await;
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("meta.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", THIS, "--nocapture"])
        .env(CHILD, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    let mut killed = false;
    // After the kill, what is still in the pipe was acknowledged, too.
    for line in BufReader::new(child.stdout.take().unwrap()).split(b'\n') {
        let line = String::from_utf8(line.unwrap()).unwrap();
        acknowledged.extend(line.strip_prefix("acknowledged ").map(str::to_owned));
        if acknowledged.len() >= 300 && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "the child ended by itself");
    let recovered = SqliteMeta::open(&path).unwrap();
    let aa = recovered.repository(&registry(), &name("aa")).await.unwrap().unwrap();
    for tag in &acknowledged {
        let found = recovered.manifest(aa.id, &by_tag(tag)).await.unwrap();
        assert!(found.is_some(), "{tag} of {} is lost", acknowledged.len());
    }
    assert_sound(&recovered);
}

async fn push_until_killed(path: &Path) {
    let store = SqliteMeta::open(path).unwrap();
    let aa = repository(&store, "aa").await;
    for round in 0..50_000 {
        let tags: Vec<_> = (0..8).map(|client| format!("t{round}-{client}")).collect();
        let images: Vec<_> = tags.iter().map(|tag| image(aa.id, tag, &[tag])).collect();
        let pushes = images.iter().zip(&tags).map(async |(image, tag)| {
            store.put_image(image).await.unwrap();
            // One write, so that no line is cut in two by the kill.
            std::io::stdout().write_all(format!("\nacknowledged {tag}\n").as_bytes()).unwrap();
        });
        join_all(pushes).await;
    }
}
