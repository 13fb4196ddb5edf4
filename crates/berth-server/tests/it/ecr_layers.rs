//! Layers: availability, uploads in parts, download URLs.

use std::time::Duration;

use berth_types::{Digest, limits};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::ecr_support::{Server, Transcript, base64};

const NAME: &str = "shop/api";

fn part(upload: &Value, first: usize, content: &[u8]) -> Value {
    json!({
        "repositoryName": NAME,
        "uploadId": upload["uploadId"],
        "partFirstByte": first,
        "partLastByte": (first + content.len()).saturating_sub(1),
        "layerPartBlob": base64(content),
    })
}

fn complete(upload: &Value, digest: Digest) -> Value {
    json!({"repositoryName": NAME, "uploadId": upload["uploadId"], "layerDigests": [digest]})
}

#[tokio::test]
async fn a_layer_in_two_parts() {
    let server = Server::with_repository().await;
    let mut transcript = Transcript::new(&server);
    let digest = Digest::sha256(b"one layer");
    let upload = transcript.call("InitiateLayerUpload", json!({"repositoryName": NAME})).await;
    transcript.call("UploadLayerPart", part(&upload, 0, b"one ")).await;
    transcript.call("UploadLayerPart", part(&upload, 4, b"layer")).await;
    let mut several = complete(&upload, digest);
    several["layerDigests"] = json!([Digest::sha256(b"not this one"), digest]);
    transcript.call("CompleteLayerUpload", several).await;
    transcript.call("CompleteLayerUpload", complete(&upload, digest)).await;
    let digests = json!([digest, Digest::sha256(b"nothing"), "md5:00", "sha256", ""]);
    transcript
        .call("BatchCheckLayerAvailability", json!({"repositoryName": NAME, "layerDigests": digests}))
        .await;
    let again = transcript.call("InitiateLayerUpload", json!({"repositoryName": NAME})).await;
    transcript.call("UploadLayerPart", part(&again, 0, b"one layer")).await;
    transcript.call("CompleteLayerUpload", complete(&again, digest)).await;
    insta::assert_snapshot!(transcript.text());
}

#[tokio::test]
async fn every_refusal_of_an_upload() {
    let server = Server::with_repository().await;
    let mut transcript = Transcript::new(&server);
    transcript.call("InitiateLayerUpload", json!({"repositoryName": "shop/nothing"})).await;
    let upload = transcript.call("InitiateLayerUpload", json!({"repositoryName": NAME})).await;
    transcript.call("CompleteLayerUpload", complete(&upload, Digest::sha256(b""))).await;
    transcript.call("UploadLayerPart", part(&upload, 5, b"too far")).await;
    server.ok("UploadLayerPart", part(&upload, 0, b"one ")).await;
    transcript.call("UploadLayerPart", part(&upload, 0, b"one ")).await;
    transcript.call("UploadLayerPart", part(&upload, 9, b"gap")).await;
    transcript.call("UploadLayerPart", part(&upload, 4, b"")).await;
    for (member, value) in [
        ("partLastByte", json!(100)),
        ("partLastByte", json!(3)),
        ("partFirstByte", json!(-1)),
        ("partFirstByte", json!(null)),
        ("layerPartBlob", json!(null)),
        ("layerPartBlob", json!("no base64")),
        ("uploadId", json!("u")),
        ("uploadId", json!("2f1a7e7a-7b55-4c0c-9a43-1d7a64b7f0a1")),
        ("repositoryName", json!("shop/nothing")),
    ] {
        let mut input = part(&upload, 4, b"layer");
        input[member] = value;
        transcript.call("UploadLayerPart", input).await;
    }
    for (member, value) in [
        ("layerDigests", json!([])),
        ("layerDigests", json!(["nonsense"])),
        ("layerDigests", json!(null)),
        ("uploadId", json!("2f1a7e7a-7b55-4c0c-9a43-1d7a64b7f0a1")),
        ("layerDigests", json!([Digest::sha256(b"other")])),
    ] {
        let mut input = complete(&upload, Digest::sha256(b"one "));
        input[member] = value;
        transcript.call("CompleteLayerUpload", input).await;
    }
    insta::assert_snapshot!(transcript.text());
}

#[tokio::test]
async fn a_part_has_twenty_mebibytes_at_most() {
    let server = Server::with_repository().await;
    let upload = server.ok("InitiateLayerUpload", json!({"repositoryName": NAME})).await;
    let largest = vec![7; limits::LAYER_PART_BYTES_MAX];
    let taken = server.ok("UploadLayerPart", part(&upload, 0, &largest)).await;
    assert_eq!(taken["lastByteReceived"], limits::LAYER_PART_BYTES_MAX - 1);
    let too_large = vec![7; limits::LAYER_PART_BYTES_MAX + 1];
    let (kind, message) = server.refused("UploadLayerPart", part(&upload, largest.len(), &too_large)).await;
    assert_eq!(kind, "InvalidParameterException");
    assert_eq!(
        message,
        "Invalid parameter at 'layerPartBlob' failed to satisfy constraint: 'Member must have length less than or \
         equal to 20971520'"
    );
    let answer = server.raw("UploadLayerPart", vec![b' '; limits::API_BODY_BYTES_MAX + 1]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.body["__type"], "RequestEntityTooLargeException");
}

#[tokio::test]
async fn a_download_url_works_until_it_expires() {
    let server = Server::with_repository().await;
    server.push_image(NAME, "content", Some("v1")).await;
    let layer = Digest::sha256(b"content");
    let mut transcript = Transcript::new(&server);
    let input = json!({"repositoryName": NAME, "layerDigest": layer});
    let answer = transcript.call("GetDownloadUrlForLayer", input).await;
    let url = answer["downloadUrl"].as_str().unwrap();
    assert_eq!(server.get(url).await, (StatusCode::OK, b"content".to_vec()));
    let spoiled = format!("{url}x");
    assert_eq!(server.get(&spoiled).await.0, StatusCode::FORBIDDEN);
    server.clock.advance(Duration::from_secs(60 * limits::DOWNLOAD_URL_MINUTES + 1));
    assert_eq!(server.get(url).await.0, StatusCode::FORBIDDEN);

    let loose = server.push_layer(NAME, b"in no image").await;
    for (name, digest) in [
        (NAME, loose.to_string()),
        (NAME, Digest::sha256(b"nothing").to_string()),
        (NAME, "nonsense".to_owned()),
        ("shop/nothing", layer.to_string()),
    ] {
        let input = json!({"repositoryName": name, "layerDigest": digest});
        transcript.call("GetDownloadUrlForLayer", input).await;
    }
    insta::assert_snapshot!(transcript.text());
}

#[tokio::test]
async fn every_refusal_of_a_check() {
    let server = Server::with_repository().await;
    let mut transcript = Transcript::new(&server);
    for (name, digests) in
        [("shop/nothing", json!(["sha256"])), (NAME, json!([])), (NAME, json!(null)), (NAME, json!([null]))]
    {
        transcript
            .call("BatchCheckLayerAvailability", json!({"repositoryName": name, "layerDigests": digests}))
            .await;
    }
    let many = json!({"repositoryName": NAME, "layerDigests": vec!["x"; 101]});
    let (_, message) = server.refused("BatchCheckLayerAvailability", many).await;
    assert!(message.ends_with("'Member must have length less than or equal to 100'"), "{message}");
    let long = json!({"repositoryName": NAME, "layerDigests": ["x".repeat(1001)]});
    let (_, message) = server.refused("BatchCheckLayerAvailability", long).await;
    assert!(message.ends_with("'Member must have length less than or equal to 1000'"), "{message}");
    insta::assert_snapshot!(transcript.text());
}
