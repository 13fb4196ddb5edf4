//! Clients that break off, send too much or stop talking. After each of them the server serves on.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use berth_e2e::image::{Blob, noise};
use berth_e2e::oci::{Oci, Repository};
use berth_e2e::target::Target;
use bytes::Bytes;
use data_encoding::BASE64;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than the longest silence that a server of ours allows.
const SILENCE: Duration = Duration::from_secs(75);

async fn connect(oci: &Oci) -> Result<TcpStream> {
    TcpStream::connect(oci.host()).await.with_context(|| format!("connect to {}", oci.host()))
}

fn authorization(oci: &Oci) -> String {
    let Some((user, password)) = oci.login() else { return String::new() };
    format!("Authorization: Basic {}\r\n", BASE64.encode(format!("{user}:{password}").as_bytes()))
}

/// What the server sends until it closes the connection.
async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    // A reset after the answer is a way to close, too.
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

/// On a connection of its own: the one before may be closing, as HTTP allows after a body that nobody read.
async fn assert_alive(repository: &Repository) -> Result<()> {
    let login = repository.oci.login().map(|(user, password)| (user.to_owned(), password.to_owned()));
    let repository = Oci::new(repository.oci.base(), login)?.repository(&repository.name);
    let blob = Blob::noise("still alive", 1000);
    repository.push_blob(&blob).await?;
    ensure!(repository.get(&format!("/blobs/{}", blob.digest)).await?.expect(&[200])?.body == blob.bytes);
    Ok(())
}

#[tokio::test]
async fn headers_without_end_are_refused() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let mut stream = connect(&repository.oci).await?;
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n").await?;
    let line = format!("X-Filler: {}\r\n", "y".repeat(8000));
    let mut sent = 0;
    while sent < 8 * 1024 * 1024 && stream.write_all(line.as_bytes()).await.is_ok() {
        sent += line.len();
    }
    let _ = stream.write_all(b"\r\n").await;
    let answer = read_to_end(&mut stream).await;
    let text = String::from_utf8_lossy(&answer);
    ensure!(
        answer.is_empty() || text.starts_with("HTTP/1.1 431") || text.starts_with("HTTP/1.1 400"),
        "{text}"
    );
    assert_alive(&repository).await
}

#[tokio::test]
async fn a_password_longer_than_two_kilobytes_is_read() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let long = "p".repeat(6000);
    repository.oci.with_login(Some(("AWS", &long))).get("/v2/").await?.expect(&[401])?;
    Ok(())
}

#[tokio::test]
async fn a_body_that_breaks_off_stores_nothing_and_can_be_resumed() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let blob = Blob::noise("cut off", 200_000);
    let location = repository.start_upload().await?;
    let path = location.strip_prefix(repository.oci.base()).unwrap_or(&location);
    let path = match path.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/').unwrap_or(0)..],
        None => path,
    };
    let mut stream = connect(&repository.oci).await?;
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nHost: {}\r\n{}Content-Type: application/octet-stream\r\nContent-Range: 0-199999\r\nContent-Length: 200000\r\n\r\n",
        repository.oci.host(),
        authorization(&repository.oci)
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&blob.bytes[..120_000]).await?;
    drop(stream);

    repository.get(&format!("/blobs/{}", blob.digest)).await?.refused(&[404], "BLOB_UNKNOWN")?;
    let (location, offset) = settled(&repository, &location).await?;
    ensure!(offset <= 120_000, "the server cannot have more than was sent: {offset}");
    repository.finish(&location, &blob.digest, blob.bytes.slice(offset..)).await?.expect(&[201])?;
    ensure!(repository.get(&format!("/blobs/{}", blob.digest)).await?.expect(&[200])?.body == blob.bytes);
    Ok(())
}

/// Location and offset of an upload once the server has noticed that the connection is gone: the offset is the same
/// in two looks, and nobody holds the session.
async fn settled(repository: &Repository, location: &str) -> Result<(String, usize)> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut previous = None;
    loop {
        let status = repository.oci.get(location).await?.expect(&[204])?;
        let location = status.header("location").unwrap_or(location).to_owned();
        let offset = match status.header("range") {
            None | Some("0-0") => 0,
            Some(range) => {
                let last = range.split_once('-').and_then(|(_, last)| last.parse::<usize>().ok());
                last.with_context(|| format!("Range: {range}"))? + 1
            }
        };
        if previous == Some(offset) {
            return Ok((location, offset));
        }
        previous = Some(offset);
        ensure!(Instant::now() < deadline, "the offset of a broken upload keeps changing");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn requests_that_are_not_http_are_turned_away() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        &[0; 512],
    ] {
        let mut stream = connect(&repository.oci).await?;
        stream.write_all(bytes).await?;
        let _ = stream.shutdown().await;
        let answer = read_to_end(&mut stream).await;
        ensure!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_alive(&repository).await
}

#[tokio::test]
async fn two_lengths_that_contradict_each_other_are_refused() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let mut stream = connect(&repository.oci).await?;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\n{}Content-Length: 5\r\nContent-Length: 50\r\nConnection: close\r\n\r\nhello",
        repository.path("/blobs/uploads/"),
        repository.oci.host(),
        authorization(&repository.oci)
    );
    stream.write_all(head.as_bytes()).await?;
    let answer = read_to_end(&mut stream).await;
    ensure!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    assert_alive(&repository).await
}

/// One after the other this would take minutes, so the three silent clients are silent together.
#[tokio::test]
async fn clients_that_fall_silent_are_cut_off() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let location = repository.start_upload().await?;
    let path = location.strip_prefix(repository.oci.base()).unwrap_or(&location).to_owned();
    let login = authorization(&repository.oci);
    let host = repository.oci.host().to_owned();
    let nothing = String::new();
    let half_a_head = format!("GET /v2/ HTTP/1.1\r\nHost: {host}\r\nX-Slow:");
    let half_a_body =
        format!("PATCH {path} HTTP/1.1\r\nHost: {host}\r\n{login}Content-Length: 1000\r\n\r\nonly this");
    let silent = |what: &'static str, text: String| {
        let oci = repository.oci.clone();
        async move {
            let mut stream = connect(&oci).await?;
            stream.write_all(text.as_bytes()).await?;
            let end = tokio::time::timeout(SILENCE, read_to_end(&mut stream)).await;
            let answer =
                end.with_context(|| format!("still open after {SILENCE:?}: a client that sent {what}"))?;
            ensure!(!answer.starts_with(b"HTTP/1.1 2"), "{what}: {}", String::from_utf8_lossy(&answer));
            anyhow::Ok(())
        }
    };
    tokio::try_join!(
        silent("nothing", nothing),
        silent("half a head", half_a_head),
        silent("half a body", half_a_body)
    )?;
    assert_alive(&repository).await
}

#[tokio::test]
async fn a_client_that_stops_reading_does_not_stop_others() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let blob = Blob::new(noise("not read", 16 * 1024 * 1024));
    repository.push_blob(&blob).await?;
    let mut stalled = Vec::new();
    for _ in 0..32 {
        let mut stream = connect(&repository.oci).await?;
        let head = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\n{}\r\n",
            repository.path(&format!("/blobs/{}", blob.digest)),
            repository.oci.host(),
            authorization(&repository.oci)
        );
        stream.write_all(head.as_bytes()).await?;
        stalled.push(stream);
    }
    let answer = repository.get(&format!("/blobs/{}", blob.digest)).await?.expect(&[200])?;
    ensure!(answer.body == blob.bytes);
    assert_alive(&repository).await?;
    drop(stalled);
    Ok(())
}

#[tokio::test]
async fn bodies_where_none_belongs_do_no_harm() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let path = repository.path("/tags/list");
    let request = repository.oci.request(reqwest::Method::GET, &path).body(Bytes::from(vec![b'x'; 100_000]));
    repository.oci.send(request).await?.expect(&[200, 400, 413])?;
    assert_alive(&repository).await
}
