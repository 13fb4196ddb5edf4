//! Commits in groups: neighbours in a transaction, and what becomes of them when one fails, or all do.

use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::Poll;

use berth_types::TagMutability;
use futures_util::future::join_all;

use super::{MetaStore as _, SqliteMeta, assert_sound, count, inspect};
use crate::meta::conformance::fixture::{all_images, blob, by_tag, image, push, repository};
use crate::meta::{MetaError, NewImage};

/// Holds the thread that writes until it is let go, so that what is asked for meanwhile shares one transaction.
fn hold(store: &SqliteMeta) -> (impl Future<Output = Result<(), MetaError>>, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel();
    let held = store.write(move |_| {
        let _ = wait.recv();
        Ok(())
    });
    (held, go)
}

/// Moves a future on as far as it goes now; whether it has more to do.
async fn pending<F: Future + Unpin>(future: &mut F) -> bool {
    let poll = std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context)));
    poll.await.is_pending()
}

fn open(directory: &tempfile::TempDir) -> SqliteMeta {
    SqliteMeta::open(&directory.path().join("meta.db")).unwrap()
}

#[tokio::test]
async fn a_failing_operation_leaves_its_neighbours_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let aa = repository(&store, "aa").await;
    push(&store, &aa, "fixed", &["fixed"]).await;
    store.set_tag_mutability(aa.id, &TagMutability::immutable()).await.unwrap();

    // Refused after it has written a row.
    let repository = aa.id.0;
    let broken = store.write(move |tx| {
        let insert = "INSERT INTO resource_tag (repository_id, key, value) VALUES (?1, 'broken', '')";
        tx.connection.execute(insert, [repository]).unwrap();
        Err::<(), _>(MetaError::Missing)
    });
    let images: Vec<_> = (0..20).map(|n| image(aa.id, &format!("i{n}"), &[&format!("t{n}")])).collect();
    let refused = image(aa.id, "refused", &["fixed"]);
    let (held, go) = hold(&store);
    let pushes = join_all(images.iter().map(|image| store.put_image(image)));
    let release = async {
        go.send(()).unwrap();
    };
    let (held, pushes, broken, refused, ()) =
        tokio::join!(held, pushes, broken, store.put_image(&refused), release);
    held.unwrap();
    assert!(pushes.iter().all(Result::is_ok));
    assert!(matches!(broken, Err(MetaError::Missing)));
    assert!(matches!(refused, Err(MetaError::TagImmutable(_))));
    assert_eq!(all_images(&store, aa.id).await.len(), 21);
    assert_eq!(store.resource_tags(aa.id).await.unwrap(), []);
    assert_sound(&store);
}

#[tokio::test]
async fn when_the_commit_fails_everybody_in_it_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let aa = repository(&store, "aa").await;
    let (first, second) = (image(aa.id, "one", &["v1"]), image(aa.id, "two", &["v2"]));
    let absent = image(crate::meta::RepositoryId(99), "absent", &[]);
    let (held, go) = hold(&store);
    // A reference to nothing that is only checked at the end of the transaction.
    let poison = store.write(|tx| {
        tx.connection.execute_batch(
            "PRAGMA defer_foreign_keys = ON; INSERT INTO tag (repository_id, name, manifest_id) VALUES (99, 'x', 99);",
        ).unwrap();
        Ok(())
    });
    let release = async { go.send(()).unwrap() };
    let (held, one, poison, two, absent, ()) = tokio::join!(
        held,
        store.put_image(&first),
        poison,
        store.put_image(&second),
        store.put_image(&absent),
        release
    );
    for outcome in [held, one.map(drop), poison, two.map(drop), absent.map(drop)] {
        let Err(MetaError::Backend { action, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(action, "commit");
    }
    assert_eq!(all_images(&store, aa.id).await, []);
    // And the next one goes well.
    store.put_image(&first).await.unwrap();
    assert!(store.manifest(aa.id, &by_tag("v1")).await.unwrap().is_some());
    assert_sound(&store);
}

#[tokio::test]
async fn nobody_sees_what_is_not_committed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let aa = repository(&store, "aa").await;
    let new = image(aa.id, "image", &["v1"]);
    let (written, go) = (mpsc::channel(), mpsc::channel::<()>());
    let (say_written, is_written) = written;
    let (say_go, is_go) = go;
    let mut push = Box::pin(store.put_image(&new));
    let mut hold = Box::pin(store.write(move |_| {
        say_written.send(()).unwrap();
        let _ = is_go.recv();
        Ok(())
    }));
    // Both are queued, the push first; then the transaction stands still with the push inside.
    assert!(pending(&mut push).await);
    assert!(pending(&mut hold).await);
    is_written.recv().unwrap();
    let push_is_uncommitted = pending(&mut push).await;
    let seen = store.manifest(aa.id, &by_tag("v1")).await.unwrap().is_some();
    // Whether the two shared a transaction is up to the thread: an answer and the row must agree.
    assert_eq!(push_is_uncommitted, !seen);
    say_go.send(()).unwrap();
    hold.await.unwrap();
    if push_is_uncommitted {
        push.await.unwrap();
    }
    assert!(store.manifest(aa.id, &by_tag("v1")).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_push_and_delete_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&directory));
    let aa = repository(&*store, "aa").await;
    let layers = [blob(&*store, &aa, "a").await, blob(&*store, &aa, "b").await];
    let tasks = (0..64).map(|task| {
        let (store, id) = (Arc::clone(&store), aa.id);
        tokio::spawn(async move {
            for round in 0..8 {
                // Half of the images are everybody's, and all of them fight for one tag.
                let text =
                    if round % 2 == 0 { format!("own {task} {round}") } else { format!("all {round}") };
                let new = NewImage { blobs: layers.to_vec(), ..image(id, &text, &["latest"]) };
                store.put_image(&new).await.unwrap();
                store.manifest(id, &by_tag("latest")).await.unwrap();
                if round % 4 == 0 {
                    store.delete_image(id, &new.digest, new.pushed_at).await.unwrap();
                    // The tag may have gone with it; somebody else's push brings it back, at the latest the next.
                    store.put_image(&new).await.unwrap();
                }
                let bad = NewImage { blobs: vec![new.digest], ..image(id, "bad", &["latest"]) };
                assert!(matches!(store.put_image(&bad).await, Err(MetaError::BlobsMissing(_))));
            }
        })
    });
    for done in join_all(tasks.collect::<Vec<_>>()).await {
        done.unwrap();
    }
    // Own images: rounds 0, 2, 4, 6 of 64 tasks; shared ones: rounds 1, 3, 5, 7.
    assert_eq!(all_images(&*store, aa.id).await.len(), 64 * 4 + 4);
    let tagged = inspect(&store, |connection| count(connection, "SELECT COUNT(*) FROM tag"));
    assert_eq!(tagged, 1);
    assert_sound(&store);
}

#[tokio::test]
async fn an_operation_whose_caller_has_gone_happens_all_the_same() {
    let store = SqliteMeta::in_memory().unwrap();
    let aa = repository(&store, "aa").await;
    let new = image(aa.id, "image", &["v1"]);
    let mut push = Box::pin(store.put_image(&new));
    // Asked for once: it is queued, and with a quick thread already done.
    pending(&mut push).await;
    drop(push);
    store.check().await.unwrap();
    assert!(store.manifest(aa.id, &by_tag("v1")).await.unwrap().is_some());
}
