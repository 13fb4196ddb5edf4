//! Whatever is pushed, in whatever pieces, comes back byte for byte.

use berth_types::{Algorithm, Digest};
use bytes::Bytes;
use proptest::prelude::*;

use crate::fixture::{World, pieces};

fn content(bytes: usize, seed: u8) -> Vec<u8> {
    (0..bytes).map(|at| (at as u64).wrapping_mul(6_364_136_223_846_793_005).to_be_bytes()[1] ^ seed).collect()
}

/// Lengths around the segments of 64 KiB, and small ones.
fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![0..100_usize, 65_000..66_000_usize, 131_000..132_000_usize, 0..400_000_usize]
}

#[derive(Clone, Debug)]
struct Push {
    requests: Vec<usize>,
    piece: usize,
    restarts: bool,
    algorithm: Algorithm,
    seed: u8,
}

fn pushes() -> impl Strategy<Value = Push> {
    let algorithm = prop_oneof![Just(Algorithm::Sha256), Just(Algorithm::Sha512)];
    let requests = prop::collection::vec(lengths(), 0..5);
    (requests, 1_000..200_000_usize, any::<bool>(), algorithm, any::<u8>()).prop_map(
        |(requests, piece, restarts, algorithm, seed)| Push { requests, piece, restarts, algorithm, seed },
    )
}

async fn push_and_read(world: &mut World, push: Push) {
    let shop = world.create("shop/api").await;
    let content = content(push.requests.iter().sum(), push.seed);
    let digest = Digest::of(push.algorithm, &content);
    let upload = world.registry.start_upload(&world.caller, &shop, None).await.unwrap();
    let mut at = 0;
    for (number, length) in push.requests.iter().enumerate() {
        let part = &content[at..at + length];
        at += length;
        let body =
            || pieces(part.chunks(push.piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect());
        if number + 1 == push.requests.len() && length % 2 == 1 {
            // The last part comes with the completion.
            let done = world
                .registry
                .complete_upload(&world.caller, &shop, upload, body(), &[digest])
                .await
                .unwrap();
            assert_eq!(done.blob.bytes, content.len() as u64);
            assert!(world.read(&shop, &digest).await.unwrap() == content);
            return;
        }
        let stands_at = world.registry.append_upload(&world.caller, &shop, upload, body()).await.unwrap();
        assert_eq!(stands_at, at as u64);
        if push.restarts {
            world.restart().await;
        }
    }
    world.registry.complete_upload(&world.caller, &shop, upload, pieces(vec![]), &[digest]).await.unwrap();
    assert!(world.read(&shop, &digest).await.unwrap() == content);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_pushed_comes_back(push in pushes(), on_disk: bool) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        runtime.block_on(async {
            let mut world = if on_disk { World::on_disk().await } else { World::in_memory().await };
            push_and_read(&mut world, push).await;
            assert_eq!(world.objects(), 1);
        });
    }
}
