//! How fast objects are sealed and written, and read back: `throughput DIR [MIB] [WRITERS]`.
//!
//! Compare the first figure with `dd if=/dev/zero of=DIR/x bs=1M count=MIB conv=fsync` in the same run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use berth_store::blob::fs::FsBlobs;
use berth_store::blob::{DomainId, ObjectId};
use berth_store::seal::{DomainKey, RootKey, SealedBlobs};
use bytes::Bytes;
use futures_util::StreamExt as _;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("usage: throughput DIR [MIB] [WRITERS]")?);
    let mebibytes: u64 = arguments.next().map_or(Ok(1024), |text| text.parse())?;
    let writers: u64 = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(directory, mebibytes, writers))
}

async fn run(directory: PathBuf, mebibytes: u64, writers: u64) -> Result<(), AnyError> {
    let blobs = SealedBlobs::new(Arc::new(FsBlobs::open(&directory)?));
    let domain = DomainId(uuid::Uuid::new_v4());
    let (key, _) = RootKey::generate()?.wrap_new_domain_key(domain)?;
    records(&key)?;
    let objects: Vec<_> = (0..writers).map(|_| ObjectId::random(domain)).collect();
    report("seal and write, durable", mebibytes * writers, &objects, |object| {
        write(blobs.clone(), key.clone(), object, mebibytes)
    })
    .await?;
    for _ in 0..2 {
        report("read and open", mebibytes * writers, &objects, |object| {
            read(blobs.clone(), key.clone(), object)
        })
        .await?;
    }
    for object in objects {
        blobs.delete(object).await?;
    }
    Ok(())
}

/// What a manifest of 1 KiB costs.
fn records(key: &DomainKey) -> Result<(), AnyError> {
    const ROUNDS: u32 = 100_000;
    let manifest = [7; 1024];
    let mut sealed = Vec::new();
    let start = Instant::now();
    for _ in 0..ROUNDS {
        sealed = key.seal("manifest", &[b"repository"], &manifest)?;
    }
    println!("seal a record of 1 KiB: {:?}", start.elapsed() / ROUNDS);
    let start = Instant::now();
    for _ in 0..ROUNDS {
        key.open("manifest", &[b"repository"], &sealed)?;
    }
    println!("open a record of 1 KiB: {:?}", start.elapsed() / ROUNDS);
    Ok(())
}

async fn report<F>(
    what: &str,
    mebibytes: u64,
    objects: &[ObjectId],
    work: impl Fn(ObjectId) -> F,
) -> Result<(), AnyError>
where
    F: Future<Output = Result<(), AnyError>> + Send + 'static,
{
    let start = Instant::now();
    let tasks: Vec<_> = objects.iter().map(|object| tokio::spawn(work(*object))).collect();
    for task in tasks {
        task.await??;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{what}: {:.0} MB/s", mebibytes as f64 * 1.048_576 / seconds);
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
        println!("  {peak}");
    }
    Ok(())
}

async fn write(blobs: SealedBlobs, key: DomainKey, object: ObjectId, mebibytes: u64) -> Result<(), AnyError> {
    // Pieces of the length in which an HTTP server hands them on.
    let piece = Bytes::from(vec![7; 64 * 1024]);
    let mut writer = blobs.create(&key, object, None).await?;
    for _ in 0..mebibytes * 16 {
        writer.append(piece.clone()).await?;
    }
    writer.finish().await?;
    Ok(())
}

async fn read(blobs: SealedBlobs, key: DomainKey, object: ObjectId) -> Result<(), AnyError> {
    let reader = blobs.open(&key, object).await?;
    let bytes = reader.bytes();
    let mut pieces = std::pin::pin!(reader.stream(0..bytes));
    let mut read = 0;
    while let Some(piece) = pieces.next().await {
        read += piece?.len() as u64;
    }
    if read == bytes { Ok(()) } else { Err("it came back shorter".into()) }
}
