//! What is logged of a request, and what is not.

use std::io;
use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Server, header, read_to_close};

/// Everything that was logged on this thread; the test's runtime has no other.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines that `matches`, as objects.
    fn lines(&self, matches: impl Fn(&Value) -> bool) -> Vec<Value> {
        let lines = self.text();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| matches(line)).collect()
    }

    /// The one access line of a request.
    fn of_request(&self, request_id: &str) -> Value {
        let mut lines = self.lines(|line| line["request_id"] == request_id && line["level"] == "INFO");
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn capture() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    (log, guard)
}

#[tokio::test]
async fn one_line_with_everything_and_no_secrets() {
    let (log, _guard) = capture();
    let server = Server::start().await;
    let manifest = server.push_image("shop/api", "v1", "a layer of nothing but secrets").await;
    let response = server.get("/v2/shop/api/manifests/v1").await;
    let request_id = header(&response, "x-request-id").to_owned();
    response.text().await.unwrap();
    let line = log.of_request(&request_id);
    for (field, expected) in [
        ("message", Value::from("GET GetManifest answered 200")),
        ("method", "GET".into()),
        ("plane", "oci".into()),
        ("operation", "GetManifest".into()),
        ("repository", "shop/api".into()),
        ("status", 200.into()),
        ("bytes_in", 0.into()),
        ("bytes_out", manifest.len().into()),
        ("account", "123456789012".into()),
    ] {
        assert_eq!(line[field], expected, "{field} of {line}");
    }
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0);
    let pushed = log.lines(|line| line["operation"] == "PutManifest");
    assert_eq!(pushed[0]["bytes_in"], manifest.len());

    let refused = server.anonymous(Method::GET, "/v2/shop/api/tags/list").send().await.unwrap();
    let line = log.of_request(header(&refused, "x-request-id"));
    assert_eq!((&line["operation"], &line["status"]), (&"ListTags".into(), &401.into()));
    assert!(line.get("account").is_none_or(Value::is_null));

    let text = log.text();
    let basic = server.authorization();
    for secret in [server.password.as_str(), basic.trim(), "nothing but secrets"] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn a_client_that_stalls_is_logged_with_what_it_sent() {
    let (log, _guard) = capture();
    let server = Server::impatient().await;
    let location = server.start_upload("shop/api").await;
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: 10\r\nConnection: close\r\n\r\nabc",
        server.authorization()
    );
    let mut socket = server.connect().await;
    tokio::io::AsyncWriteExt::write_all(&mut socket, head.as_bytes()).await.unwrap();
    let answer = read_to_close(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let lines = log.lines(|line| line["operation"] == "AppendUpload" && line["level"] == "INFO");
    assert_eq!((&lines[0]["status"], &lines[0]["bytes_in"]), (&408.into(), &3.into()));
}
