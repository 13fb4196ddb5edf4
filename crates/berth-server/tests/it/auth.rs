//! Docker tokens.

use std::time::Duration;

use berth_types::{Digest, UploadId};
use reqwest::{Method, StatusCode};

use crate::support::{Server, header, refused};

/// Every operation on a repository or on the registry.
fn operations() -> Vec<(Method, String)> {
    let digest = Digest::sha256(b"x");
    let upload = UploadId::random();
    vec![
        (Method::GET, "/v2/_catalog".to_owned()),
        (Method::GET, "/v2/shop/api/tags/list".to_owned()),
        (Method::GET, format!("/v2/shop/api/referrers/{digest}")),
        (Method::GET, format!("/v2/shop/api/blobs/{digest}")),
        (Method::HEAD, format!("/v2/shop/api/blobs/{digest}")),
        (Method::DELETE, format!("/v2/shop/api/blobs/{digest}")),
        (Method::POST, "/v2/shop/api/blobs/uploads/".to_owned()),
        (Method::POST, format!("/v2/shop/api/blobs/uploads/?digest={digest}")),
        (Method::POST, format!("/v2/shop/api/blobs/uploads/?mount={digest}&from=shop/web")),
        (Method::GET, format!("/v2/shop/api/blobs/uploads/{upload}")),
        (Method::PATCH, format!("/v2/shop/api/blobs/uploads/{upload}")),
        (Method::PUT, format!("/v2/shop/api/blobs/uploads/{upload}?digest={digest}")),
        (Method::DELETE, format!("/v2/shop/api/blobs/uploads/{upload}")),
        (Method::GET, "/v2/shop/api/manifests/v1".to_owned()),
        (Method::HEAD, "/v2/shop/api/manifests/v1".to_owned()),
        (Method::PUT, "/v2/shop/api/manifests/v1".to_owned()),
        (Method::DELETE, "/v2/shop/api/manifests/v1".to_owned()),
    ]
}

#[tokio::test]
async fn every_path_wants_credentials() {
    let server = Server::start().await;
    let others =
        [(Method::GET, "/v2/"), (Method::GET, "/v2"), (Method::HEAD, "/v2/"), (Method::GET, "/v2/no/such")];
    let others = others.map(|(method, path)| (method, path.to_owned()));
    for (method, path) in operations().into_iter().chain(others) {
        let response = server.anonymous(method.clone(), &path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
        let port = server.address.port();
        let challenge = format!("Basic realm=\"http://localhost:{port}/\",service=\"ecr.amazonaws.com\"");
        assert_eq!(header(&response, "www-authenticate"), challenge);
        assert_eq!(header(&response, "docker-distribution-api-version"), "registry/2.0");
        let body = if method == Method::HEAD { "" } else { "Not Authorized\n" };
        assert_eq!(response.text().await.unwrap(), body);
    }
}

#[tokio::test]
async fn wrong_credentials_are_no_credentials() {
    let server = Server::start().await;
    let truncated = &server.password[..server.password.len() - 1];
    let long = "x".repeat(8_000);
    for (user, password) in [
        ("AWS", ""),
        ("AWS", "wrong"),
        ("AWS", truncated),
        ("AWS", long.as_str()),
        ("aws", server.password.as_str()),
        ("root", server.password.as_str()),
        ("", server.password.as_str()),
    ] {
        let request = server.anonymous(Method::GET, "/v2/").basic_auth(user, Some(password));
        assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "{user}:{password}");
    }
    let bearer = server.anonymous(Method::GET, "/v2/").bearer_auth(&server.password).send().await.unwrap();
    assert_eq!(bearer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_good_token_opens_and_an_expired_one_says_so() {
    let server = Server::start().await;
    let response = server.get("/v2/").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "docker-distribution-api-version"), "registry/2.0");
    server.clock.advance(Duration::from_secs(12 * 3600 + 1));
    let error = refused(server.get("/v2/").await, 403, "DENIED").await;
    assert_eq!(error["message"], "Your authorization token has expired. Reauthenticate and try again.");
}

#[tokio::test]
async fn a_host_of_another_account_is_another_registry() {
    let server = Server::with(berth_server::ServerOptions {
        allowed_hosts: vec!["210987654321.dkr.ecr.eu-west-1.berth.test".into()],
        ..Default::default()
    })
    .await;
    let image = server.push_image("shop/api", "v1", "layer").await;
    for (method, path) in operations() {
        let host = "210987654321.dkr.ecr.eu-west-1.berth.test:5000";
        let request = server.request(method.clone(), &path).header("host", host).body(image.clone());
        let response = request.send().await.unwrap();
        if method == Method::HEAD {
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path}");
            continue;
        }
        let error = refused(response, 403, "DENIED").await;
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("is not authorized to perform: ecr:"), "{method} {path}: {message}");
    }
    assert_eq!(server.get("/v2/shop/api/manifests/v1").await.text().await.unwrap(), image);
}
