//! The way out.

use std::time::Duration;

use berth_server::ServerOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Server, read_to_close};

/// Sends the head and the first bytes of an upload of ten bytes, and waits until the server reads the body.
async fn begin_upload(server: &Server) -> TcpStream {
    let location = server.start_upload("shop/api").await;
    let mut socket = server.connect().await;
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: 10\r\nExpect: 100-continue\r\n\r\n",
        server.authorization()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 25];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(b"01234").await.unwrap();
    socket
}

#[tokio::test]
async fn what_is_in_flight_is_finished() {
    let mut server = Server::start().await;
    let mut upload = begin_upload(&server).await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut status = [0; 12];
    idle.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    let address = server.address;
    server.stop();
    // A connection without a request is closed, and nobody new is let in.
    read_to_close(&mut idle).await;
    assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
    upload.write_all(b"56789").await.unwrap();
    let answer = read_to_close(&mut upload).await;
    assert!(answer.starts_with("HTTP/1.1 202") && answer.contains("range: 0-9"), "{answer}");
    server.stopped().await;
}

#[tokio::test]
async fn what_does_not_finish_is_cut_off() {
    let deadline = Duration::from_millis(200);
    let mut server =
        Server::with(ServerOptions { shutdown_deadline: deadline, ..ServerOptions::default() }).await;
    let mut upload = begin_upload(&server).await;
    server.stop();
    server.stopped().await;
    assert_eq!(read_to_close(&mut upload).await, "");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let server = Server::with(ServerOptions { connections_max: 1, ..ServerOptions::default() }).await;
    let mut first = server.connect().await;
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    first.write_all(request).await.unwrap();
    let mut buffer = [0; 12];
    first.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"HTTP/1.1 200");
    let mut second = server.connect().await;
    second.write_all(request).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), second.read_exact(&mut buffer)).await;
    assert!(early.is_err(), "there is no room for a second connection yet");
    drop(first);
    second.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"HTTP/1.1 200");
}
