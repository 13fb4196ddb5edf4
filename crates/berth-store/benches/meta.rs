//! The metadata store on SQLite: durable pushes by some clients at once, and the reads that every pull begins with.
//!
//! A push is a new manifest of 700 bytes with three layers and a tag. `cargo bench -p berth-store --bench meta`.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use berth_store::blob::{DomainId, ObjectId};
use berth_store::meta::{
    DomainRecord, Encryption, MetaError, MetaStore, NewBlob, NewImage, NewRepository, RepositoryId,
    SqliteMeta, UploadProgress, UploadRecord,
};
use berth_types::{
    AccountId, Digest, MediaType, Reference, Region, RegistryId, RepositoryName, Tag, TagMutability,
    Timestamp, UploadId,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const REPOSITORIES: u64 = 64;
const LAYERS: u64 = 64;
const IMAGES_LOADED: u64 = 50_000;
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

type AnyError = Box<dyn std::error::Error + Send + Sync>;

struct Bench {
    store: SqliteMeta,
    repositories: Vec<RepositoryId>,
    layers: Vec<Digest>,
    pushed: AtomicU64,
}

impl Bench {
    async fn open(path: &std::path::Path) -> Result<Self, AnyError> {
        let store = SqliteMeta::open(path)?;
        let registry =
            RegistryId { account: AccountId::parse("123456789012")?, region: Region::parse("us-east-1")? };
        let domain = DomainId(uuid::Uuid::new_v4());
        let record = DomainRecord { name: "domain".into(), id: domain, wrapped_key: vec![0; 60] };
        store.domain_or_insert(&record).await?;
        let layers: Vec<_> = (0..LAYERS).map(|layer| Digest::sha256(&layer.to_be_bytes())).collect();
        let mut repositories = Vec::new();
        for number in 0..REPOSITORIES {
            let new = NewRepository {
                registry: registry.clone(),
                name: RepositoryName::parse(&format!("shop/service-{number}"))?,
                created_at: NOW,
                mutability: TagMutability::immutable(),
                scan_on_push: true,
                encryption: Encryption::Aes256,
                domain,
                resource_tags: Vec::new(),
            };
            let repository = store.create_repository(&new).await?.id;
            for layer in &layers {
                upload(&store, repository, domain, *layer).await?;
            }
            repositories.push(repository);
        }
        Ok(Self { store, repositories, layers, pushed: AtomicU64::new(0) })
    }

    async fn push(&self) -> Result<(), MetaError> {
        let number = self.pushed.fetch_add(1, Ordering::Relaxed);
        let layer = |offset: u64| self.layers[((number + offset) % LAYERS) as usize];
        let image = NewImage {
            repository: self.repository(number),
            digest: digest(number),
            media_type: MediaType::new(MediaType::OCI_MANIFEST),
            artifact_type: Some(MediaType::OCI_IMAGE_CONFIG.to_owned()),
            sealed: vec![7; 700],
            manifest_bytes: 700,
            image_bytes: 1_000_000,
            blobs: vec![layer(0), layer(1), layer(2)],
            optional_blobs: Vec::new(),
            children: Vec::new(),
            subject: None,
            tags: tag(number).into_iter().collect(),
            pushed_at: NOW,
        };
        self.store.put_image(&image).await.map(drop)
    }

    fn repository(&self, number: u64) -> RepositoryId {
        self.repositories[(number % REPOSITORIES) as usize]
    }
}

async fn upload(
    store: &SqliteMeta,
    repository: RepositoryId,
    domain: DomainId,
    digest: Digest,
) -> Result<(), MetaError> {
    let progress = UploadProgress { bytes: 0, checkpoint: None, updated_at: NOW };
    let (id, object) = (UploadId::random(), ObjectId::random(domain));
    store.create_upload(&UploadRecord { id, repository, object, created_at: NOW, progress }).await?;
    store.complete_upload(repository, id, &NewBlob { digest, bytes: 4096, created_at: NOW }).await?;
    Ok(())
}

fn digest(number: u64) -> Digest {
    Digest::sha256(&[&b"image"[..], &number.to_be_bytes()].concat())
}

fn tag(number: u64) -> Option<Tag> {
    Tag::parse(&format!("v{number}")).ok()
}

/// Pushes `count` images by `clients` at once, and says how long it took.
fn push_many(runtime: &Runtime, bench: &Arc<Bench>, clients: u64, count: u64) -> Duration {
    runtime.block_on(async {
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for client in 0..clients {
            let bench = Arc::clone(bench);
            let share = count / clients + u64::from(client < count % clients);
            tasks.spawn(async move {
                for _ in 0..share {
                    bench.push().await?;
                }
                Ok::<_, MetaError>(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            assert!(matches!(done, Ok(Ok(()))), "a push failed: {done:?}");
        }
        start.elapsed()
    })
}

fn meta(criterion: &mut Criterion) {
    let prepared = Runtime::new().map_err(AnyError::from).and_then(|runtime| {
        let directory = tempfile::tempdir()?;
        let bench = runtime.block_on(Bench::open(&directory.path().join("meta.db")))?;
        Ok((runtime, directory, Arc::new(bench)))
    });
    let (runtime, _directory, bench) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => panic!("cannot prepare: {error}"),
    };
    push_many(&runtime, &bench, 64, IMAGES_LOADED);

    let mut group = criterion.benchmark_group("put_image");
    group.throughput(Throughput::Elements(1)).measurement_time(Duration::from_secs(5)).sample_size(20);
    for clients in [1, 16, 64] {
        group.bench_with_input(BenchmarkId::new("clients", clients), &clients, |bencher, clients| {
            bencher.iter_custom(|count| push_many(&runtime, &bench, *clients, count));
        });
    }
    group.finish();

    // Reads are measured on a database at rest: nothing in the write-ahead log.
    assert!(runtime.block_on(bench.store.close()).is_ok(), "the log cannot be cleared");
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(1));
    let mut number = 0_u64;
    let mut next = || {
        number = (number.wrapping_add(7_919)) % IMAGES_LOADED;
        number
    };
    group.bench_function("manifest by tag", |bencher| {
        bencher.iter_custom(|count| {
            let references: Vec<_> = (0..count.min(IMAGES_LOADED))
                .filter_map(|_| {
                    let number = next();
                    Some((bench.repository(number), Reference::Tag(tag(number)?)))
                })
                .collect();
            runtime.block_on(async {
                let start = Instant::now();
                for (repository, reference) in references.iter().cycle().take(count as usize) {
                    let found = bench.store.manifest(*repository, reference).await;
                    assert!(matches!(black_box(found), Ok(Some(_))));
                }
                start.elapsed()
            })
        });
    });
    group.bench_function("blob in repository", |bencher| {
        bencher.iter_custom(|count| {
            runtime.block_on(async {
                let start = Instant::now();
                for number in 0..count {
                    let layer = &bench.layers[(number % LAYERS) as usize];
                    let found = bench.store.blob(bench.repository(number), layer).await;
                    assert!(matches!(black_box(found), Ok(Some(_))));
                }
                start.elapsed()
            })
        });
    });
    group.finish();
}

criterion_group!(benches, meta);
criterion_main!(benches);
