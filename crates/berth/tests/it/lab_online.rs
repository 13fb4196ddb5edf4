//! The lab against a running registry: a berth of this very build, filled over plain HTTP.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::Sandbox;

/// A server that ends with the test.
struct Registry {
    child: Child,
    address: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    fn start(sandbox: &Sandbox) -> Self {
        let ready = sandbox.path("ready");
        let child = Command::new(env!("CARGO_BIN_EXE_berth"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(sandbox.path("data"))
            .arg("--ready-file")
            .arg(&ready)
            .env_clear()
            .env("HOME", sandbox.path("."))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut registry = Self { child, address: String::new() };
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Ok(text) = std::fs::read_to_string(&ready)
                && text.ends_with('\n')
            {
                registry.address = text.trim().trim_start_matches("http://").to_owned();
                return registry;
            }
            assert!(registry.child.try_wait().unwrap().is_none(), "the server ended");
            assert!(Instant::now() < deadline, "the server was not ready in time");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// One request; the answer's head and body.
    fn request(&self, password: &str, method: &str, path: &str, media: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let credentials = base64(format!("AWS:{password}").as_bytes());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {credentials}\r\nContent-Type: {media}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn push_blob(&self, password: &str, repository: &str, content: &[u8]) -> Value {
        let answer = self.request(password, "POST", &format!("/v2/{repository}/blobs/uploads/"), "", b"");
        let location = answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().trim();
        let location = location.strip_prefix(&self.endpoint()).unwrap_or(location);
        let digest = berth_types::Digest::sha256(content).to_string();
        let separator = if location.contains('?') { '&' } else { '?' };
        let path = format!("{location}{separator}digest={digest}");
        let answer = self.request(password, "PUT", &path, "application/octet-stream", content);
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": content.len()})
    }

    fn push_manifest(&self, password: &str, repository: &str, reference: &str, manifest: &Value) -> Value {
        let media = manifest["mediaType"].as_str().unwrap();
        let body = manifest.to_string();
        let digest = berth_types::Digest::sha256(body.as_bytes()).to_string();
        let reference = if reference.is_empty() { &digest } else { reference };
        let path = format!("/v2/{repository}/manifests/{reference}");
        let answer = self.request(password, "PUT", &path, media, body.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        json!({"mediaType": media, "digest": digest, "size": body.len()})
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// Two images with a layer in common, and an index of two untagged ones.
fn fill(registry: &Registry, password: &str, repository: &str) {
    let base = registry.push_blob(password, repository, &[b'b'; 1000]);
    let config = registry.push_blob(password, repository, b"{}");
    let manifest = |own: &[u8]| {
        let layer = registry.push_blob(password, repository, own);
        json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
               "config": config, "layers": [base, layer]})
    };
    for tag in ["v1", "v2"] {
        registry.push_manifest(password, repository, tag, &manifest(tag.as_bytes()));
    }
    let children: Vec<Value> = ["amd64", "arm64"]
        .iter()
        .map(|name| registry.push_manifest(password, repository, "", &manifest(name.as_bytes())))
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": children});
    registry.push_manifest(password, repository, "multi", &index);
}

const POLICY: &str = r#"{"rules": [
  {"rulePriority": 1, "description": "Keep the last version",
   "selection": {"tagStatus": "tagged", "tagPatternList": ["v*"], "countType": "imageCountMoreThan", "countNumber": 1},
   "action": {"type": "expire"}},
  {"rulePriority": 2, "description": "Delete untagged images after 7 days",
   "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 7},
   "action": {"type": "expire"}}
]}
"#;

#[test]
fn a_live_repository_is_simulated_with_its_own_policy_and_priced() {
    let sandbox = Sandbox::new();
    let registry = Registry::start(&sandbox);
    let endpoint = registry.endpoint();
    sandbox.write("policy.json", POLICY);
    sandbox.write(
        "berth.toml",
        &format!(
            "project = \"shop\"\nenvironment = \"dev\"\nendpoint = \"{endpoint}\"\n[repositories.api]\n\
             lifecycle_policy_file = \"policy.json\"\n[repositories.empty]\n"
        ),
    );
    let applied = sandbox.berth(&["apply", "--yes"]);
    assert!(applied.starts_with("exit code 0"), "{applied}");
    let login = sandbox.run(&["login", "--print-password"]);
    let password = String::from_utf8(login.stdout).unwrap().trim().to_owned();
    fill(&registry, &password, "shop/api");

    let live = ["--repository", "shop/api", "--endpoint", &endpoint, "--at", "2100-01-01"];
    let output = sandbox.run(&[&["lifecycle", "simulate", "--json"], &live[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["expired"].as_array().unwrap().len(), 1);
    assert_eq!(answer["expired"][0]["rule"], 1);
    assert_eq!(answer["blocked"].as_array().unwrap().len(), 2, "the children are known from the manifest");
    assert_eq!(answer["kept"].as_array().unwrap().len(), 4);

    let explained = sandbox.berth(&[&["lifecycle", "explain", "multi"], &live[..]].concat());
    assert!(explained.contains("an index of 2") && explained.contains("no rule matches it"), "{explained}");

    let output = sandbox.run(&["cost", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let api = &answer["repositories"][0];
    assert_eq!((&api["name"], &api["layers_known"]), (&json!("shop/api"), &json!(true)));
    // The layer in common and the configuration once, and each image's own.
    assert_eq!(api["now"]["bytes"], 1000 + 2 + 2 + 2 + 5 + 5);
    assert_eq!(answer["repositories"][1]["images"], 0);

    let missing = ["lifecycle", "simulate", "--repository", "shop/none", "--endpoint", &endpoint];
    let missing = sandbox.berth(&missing);
    assert!(
        missing.starts_with(
            "exit code 1\n--- stderr\nerror: DescribeImages shop/none: the repository does not exist"
        ),
        "{missing}"
    );
}
