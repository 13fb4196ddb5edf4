//! A layer far larger than the memory that the server may use. 512 MiB in every run; 4 GiB with `cargo xtask soak`.

use anyhow::{Context, Result, ensure};
use berth_e2e::image::noise;
use berth_e2e::oci::with_query;
use berth_e2e::target::Target;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use reqwest::Method;
use sha2::{Digest, Sha256};

/// The highest resident memory of the server, in bytes.
const RESIDENT_BYTES_MAX: u64 = 120_000_000;

const PIECE: usize = 1024 * 1024;

fn size() -> usize {
    let gibibyte = 1024 * 1024 * 1024;
    if std::env::var_os("BERTH_E2E_SOAK").is_some() { 4 * gibibyte } else { gibibyte / 2 }
}

/// Piece `number` of the layer: the same bytes every time, and different for every piece.
fn piece(base: &Bytes, number: usize) -> Bytes {
    let mut bytes = base.to_vec();
    bytes[..8].copy_from_slice(&(number as u64).to_le_bytes());
    Bytes::from(bytes)
}

#[tokio::test]
async fn a_layer_larger_than_memory_goes_in_and_comes_out() -> Result<()> {
    let target = Target::own(&[]).await?;
    let repository = target.repository().await?;
    let base = noise("large layer", PIECE);
    let pieces = size() / PIECE;
    let mut hash = Sha256::new();
    for number in 0..pieces {
        hash.update(piece(&base, number));
    }
    let digest = format!("sha256:{}", HEXLOWER.encode(&hash.finalize()));

    let location = repository.start_upload().await?;
    let source = base.clone();
    let stream = futures_util::stream::iter(
        (0..pieces).map(move |number| Ok::<_, std::io::Error>(piece(&source, number))),
    );
    let begin = std::time::Instant::now();
    let request = repository
        .oci
        .request(Method::PUT, &with_query(&location, "digest", &digest))
        .header("Content-Type", "application/octet-stream")
        .header("Content-Length", size())
        .timeout(std::time::Duration::from_secs(900))
        .body(reqwest::Body::wrap_stream(stream));
    repository.oci.send(request).await?.expect(&[201])?;
    let pushed = begin.elapsed();
    let peak = target.server()?.resident_bytes_peak()?;
    ensure!(peak < RESIDENT_BYTES_MAX, "{peak} bytes resident after the push");

    let begin = std::time::Instant::now();
    let path = repository.path(&format!("/blobs/{digest}"));
    let request = repository.oci.request(Method::GET, &path).timeout(std::time::Duration::from_secs(900));
    let mut response = request.send().await?.error_for_status()?;
    let mut hash = Sha256::new();
    let mut received = 0;
    while let Some(chunk) = response.chunk().await.context("read the layer")? {
        received += chunk.len();
        hash.update(&chunk);
    }
    ensure!(received == size(), "{received} of {} bytes", size());
    ensure!(
        digest == format!("sha256:{}", HEXLOWER.encode(&hash.finalize())),
        "other bytes than were pushed"
    );
    let peak = target.server()?.resident_bytes_peak()?;
    eprintln!(
        "{} MiB pushed in {pushed:?}, pulled in {:?}; the server's peak was {} MB",
        size() / PIECE,
        begin.elapsed(),
        peak / 1_000_000
    );
    ensure!(peak < RESIDENT_BYTES_MAX, "{peak} bytes resident after the pull");
    Ok(())
}
