//! What the clauses are told with.

use berth_types::{
    AccountId, Digest, MediaType, Reference, Region, RegistryId, RepositoryName, Tag, TagMutability,
    Timestamp, UploadId,
};

use crate::blob::{DomainId, ObjectId};
use crate::meta::{
    CompletedUpload, DomainRecord, Encryption, ImageRecord, MetaStore, NewBlob, NewImage, NewRepository,
    RepositoryId, RepositoryRecord, TagStatus, UploadProgress, UploadRecord, domain_name,
};

pub(in crate::meta) const ALL: usize = 1_000;

pub(in crate::meta) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(in crate::meta) fn registry() -> RegistryId {
    registry_of("123456789012")
}

pub(in crate::meta) fn registry_of(account: &str) -> RegistryId {
    RegistryId { account: AccountId::parse(account).unwrap(), region: Region::parse("us-east-1").unwrap() }
}

pub(in crate::meta) fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).unwrap()
}

pub(in crate::meta) fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

pub(in crate::meta) fn tags(texts: &[&str]) -> Vec<Tag> {
    texts.iter().map(|text| tag(text)).collect()
}

pub(in crate::meta) fn by_tag(text: &str) -> Reference {
    Reference::Tag(tag(text))
}

/// The domain of a registry's own key.
pub(in crate::meta) async fn domain(store: &dyn MetaStore, registry: &RegistryId) -> DomainId {
    domain_of(store, registry, &Encryption::Aes256).await
}

pub(in crate::meta) async fn domain_of(
    store: &dyn MetaStore,
    registry: &RegistryId,
    encryption: &Encryption,
) -> DomainId {
    let record = DomainRecord {
        name: domain_name(registry.account, &registry.region, encryption),
        id: DomainId(uuid::Uuid::new_v4()),
        wrapped_key: vec![1, 2, 3],
    };
    store.domain_or_insert(&record).await.unwrap().id
}

pub(in crate::meta) async fn new_repository(
    store: &dyn MetaStore,
    registry: &RegistryId,
    text: &str,
) -> NewRepository {
    NewRepository {
        registry: registry.clone(),
        name: name(text),
        created_at: at(1),
        mutability: TagMutability::mutable(),
        scan_on_push: false,
        encryption: Encryption::Aes256,
        domain: domain(store, registry).await,
        resource_tags: Vec::new(),
    }
}

pub(in crate::meta) async fn repository(store: &dyn MetaStore, text: &str) -> RepositoryRecord {
    repository_in(store, &registry(), text).await
}

pub(in crate::meta) async fn repository_in(
    store: &dyn MetaStore,
    registry: &RegistryId,
    text: &str,
) -> RepositoryRecord {
    let new = new_repository(store, registry, text).await;
    store.create_repository(&new).await.unwrap()
}

pub(in crate::meta) fn upload_in(repository: &RepositoryRecord) -> UploadRecord {
    UploadRecord {
        id: UploadId::random(),
        repository: repository.id,
        object: ObjectId::random(repository.domain),
        created_at: at(5),
        progress: UploadProgress { bytes: 0, checkpoint: None, updated_at: at(5) },
    }
}

/// Uploads `content` and returns what became of it.
pub(in crate::meta) async fn upload(
    store: &dyn MetaStore,
    repository: &RepositoryRecord,
    content: &str,
) -> CompletedUpload {
    let session = upload_in(repository);
    store.create_upload(&session).await.unwrap();
    let blob = NewBlob {
        digest: Digest::sha256(content.as_bytes()),
        bytes: content.len() as u64,
        created_at: at(6),
    };
    store.complete_upload(repository.id, session.id, &blob).await.unwrap()
}

/// Uploads `content` and returns its digest.
pub(in crate::meta) async fn blob(
    store: &dyn MetaStore,
    repository: &RepositoryRecord,
    content: &str,
) -> Digest {
    upload(store, repository, content).await.blob.digest
}

/// A manifest that needs nothing. Its digest is that of `text`.
pub(in crate::meta) fn image(repository: RepositoryId, text: &str, tag_texts: &[&str]) -> NewImage {
    NewImage {
        repository,
        digest: Digest::sha256(text.as_bytes()),
        media_type: MediaType::new(MediaType::OCI_MANIFEST),
        artifact_type: None,
        sealed: format!("sealed {text}").into_bytes(),
        manifest_bytes: text.len() as u64,
        image_bytes: 100,
        blobs: Vec::new(),
        optional_blobs: Vec::new(),
        children: Vec::new(),
        subject: None,
        tags: tags(tag_texts),
        pushed_at: at(10),
    }
}

pub(in crate::meta) fn index(
    repository: RepositoryId,
    text: &str,
    children: &[Digest],
    tag_texts: &[&str],
) -> NewImage {
    NewImage {
        media_type: MediaType::new(MediaType::OCI_INDEX),
        image_bytes: 0,
        children: children.to_vec(),
        ..image(repository, text, tag_texts)
    }
}

/// Pushes a manifest that needs nothing, and returns its digest.
pub(in crate::meta) async fn push(
    store: &dyn MetaStore,
    repository: &RepositoryRecord,
    text: &str,
    tag_texts: &[&str],
) -> Digest {
    let new = image(repository.id, text, tag_texts);
    store.put_image(&new).await.unwrap();
    new.digest
}

/// Pushes a manifest of one blob, and returns both digests.
pub(in crate::meta) async fn push_with_blob(
    store: &dyn MetaStore,
    repository: &RepositoryRecord,
    text: &str,
    content: &str,
) -> (Digest, Digest) {
    let blob = blob(store, repository, content).await;
    let new = NewImage { blobs: vec![blob], ..image(repository.id, text, &[]) };
    store.put_image(&new).await.unwrap();
    (new.digest, blob)
}

pub(in crate::meta) async fn all_images(store: &dyn MetaStore, repository: RepositoryId) -> Vec<ImageRecord> {
    store.images(repository, TagStatus::Any, None, ALL).await.unwrap()
}

pub(in crate::meta) async fn tags_of(
    store: &dyn MetaStore,
    repository: RepositoryId,
    digest: &Digest,
) -> Vec<Tag> {
    store.image(repository, digest).await.unwrap().unwrap().tags
}
