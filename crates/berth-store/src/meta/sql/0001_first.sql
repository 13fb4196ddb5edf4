-- The first schema. See sql/mod.rs for what the types and the /*markers*/ become in each database.

CREATE TABLE setting (
    name  TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) /*clustered*/;

-- The last id given out per kind of row. Ids are never given out twice: RepositoryId and ImageCursor promise that.
CREATE TABLE sequence (
    name  TEXT PRIMARY KEY NOT NULL,
    value BIGINT NOT NULL
) /*clustered*/;
INSERT INTO sequence (name, value)
VALUES ('domain', 0), ('registry', 0), ('repository', 0), ('manifest', 0), ('blob', 0), ('dead_object', 0);

-- An encryption domain. A repository cannot exist before the key that seals its content is kept here.
CREATE TABLE domain (
    id          BIGINT PRIMARY KEY NOT NULL,
    uuid        BLOB NOT NULL UNIQUE,
    name        TEXT NOT NULL UNIQUE,
    wrapped_key BLOB NOT NULL
) /*heap*/;

-- An account in a region, made when it gets its first repository. The count holds the quota.
CREATE TABLE registry (
    id               BIGINT PRIMARY KEY NOT NULL,
    account          TEXT NOT NULL,
    region           TEXT NOT NULL,
    repository_count BIGINT NOT NULL,
    UNIQUE (account, region)
) /*heap*/;

CREATE TABLE repository (
    id                 BIGINT PRIMARY KEY NOT NULL,
    registry_id        BIGINT NOT NULL REFERENCES registry (id),
    name               TEXT NOT NULL,
    created_at         BIGINT NOT NULL,
    -- ECR's name of the mode, and the filters joined by spaces (which no filter may contain).
    mutability         TEXT NOT NULL,
    mutability_filters TEXT NOT NULL,
    scan_on_push       BIGINT NOT NULL,
    -- NULL: AES256.
    kms_key_arn        TEXT,
    domain_id          BIGINT NOT NULL REFERENCES domain (id),
    -- Rows of manifest, for the quota and for the totals.
    image_count        BIGINT NOT NULL,
    UNIQUE (registry_id, name)
) /*heap*/;

CREATE TABLE resource_tag (
    repository_id BIGINT NOT NULL REFERENCES repository (id),
    key           TEXT NOT NULL,
    value         TEXT NOT NULL,
    PRIMARY KEY (repository_id, key)
) /*clustered*/;

CREATE TABLE lifecycle_policy (
    repository_id     BIGINT PRIMARY KEY NOT NULL REFERENCES repository (id),
    last_evaluated_at BIGINT,
    text              TEXT NOT NULL
) /*heap*/;

-- The text is in a table of its own: listings and updates of this row would otherwise drag it along.
CREATE TABLE manifest (
    id             BIGINT PRIMARY KEY NOT NULL,
    repository_id  BIGINT NOT NULL REFERENCES repository (id),
    digest         BLOB NOT NULL,
    media_type     TEXT NOT NULL,
    artifact_type  TEXT,
    manifest_bytes BIGINT NOT NULL,
    image_bytes    BIGINT NOT NULL,
    subject        BLOB,
    pushed_at      BIGINT NOT NULL,
    last_pulled_at BIGINT,
    -- Rows of tag that name this manifest, for the quota and for listings by tag status.
    tag_count      BIGINT NOT NULL,
    UNIQUE (repository_id, digest)
) /*heap*/;
CREATE INDEX manifest_order ON manifest (repository_id, id);
CREATE INDEX manifest_tagged ON manifest (repository_id, id) WHERE tag_count > 0;
CREATE INDEX manifest_untagged ON manifest (repository_id, id) WHERE tag_count = 0;
CREATE INDEX manifest_subject ON manifest (repository_id, subject, id) WHERE subject IS NOT NULL;
CREATE INDEX manifest_subject_type ON manifest (repository_id, subject, artifact_type, id) WHERE subject IS NOT NULL;

CREATE TABLE manifest_text (
    manifest_id BIGINT PRIMARY KEY NOT NULL REFERENCES manifest (id),
    sealed      BLOB NOT NULL
) /*heap*/;

CREATE TABLE tag (
    repository_id BIGINT NOT NULL REFERENCES repository (id),
    name          TEXT NOT NULL,
    manifest_id   BIGINT NOT NULL REFERENCES manifest (id),
    PRIMARY KEY (repository_id, name)
) /*clustered*/;
CREATE INDEX tag_manifest ON tag (manifest_id, name);

-- One content in one encryption domain, and the object that holds it.
CREATE TABLE blob (
    id         BIGINT PRIMARY KEY NOT NULL,
    domain_id  BIGINT NOT NULL REFERENCES domain (id),
    digest     BLOB NOT NULL,
    bytes      BIGINT NOT NULL,
    object     BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (domain_id, digest)
) /*heap*/;

-- A blob is in a repository. The digest is repeated so that one lookup answers the question every push asks.
CREATE TABLE repository_blob (
    repository_id BIGINT NOT NULL REFERENCES repository (id),
    digest        BLOB NOT NULL,
    blob_id       BIGINT NOT NULL REFERENCES blob (id),
    PRIMARY KEY (repository_id, digest)
) /*clustered*/;
CREATE UNIQUE INDEX repository_blob_blob ON repository_blob (blob_id, repository_id);

-- A manifest refers to a blob of its repository. The reference to repository_blob makes the database itself refuse to take
-- a blob out from under a manifest. required = 0: the manifest would be complete without it.
CREATE TABLE manifest_blob (
    repository_id BIGINT NOT NULL,
    blob_id       BIGINT NOT NULL,
    manifest_id   BIGINT NOT NULL REFERENCES manifest (id),
    required      BIGINT NOT NULL,
    PRIMARY KEY (repository_id, blob_id, manifest_id),
    FOREIGN KEY (blob_id, repository_id) REFERENCES repository_blob (blob_id, repository_id)
) /*clustered*/;
CREATE INDEX manifest_blob_manifest ON manifest_blob (manifest_id, blob_id);

-- A manifest names a blob that it can do without and that was not in the repository. When the blob comes, the row becomes
-- one of manifest_blob.
CREATE TABLE manifest_absent_blob (
    repository_id BIGINT NOT NULL,
    digest        BLOB NOT NULL,
    manifest_id   BIGINT NOT NULL REFERENCES manifest (id),
    PRIMARY KEY (repository_id, digest, manifest_id)
) /*clustered*/;
CREATE INDEX manifest_absent_blob_manifest ON manifest_absent_blob (manifest_id);

-- An index lists a manifest of its repository.
CREATE TABLE manifest_child (
    repository_id BIGINT NOT NULL,
    parent_id     BIGINT NOT NULL REFERENCES manifest (id),
    child_id      BIGINT NOT NULL REFERENCES manifest (id),
    PRIMARY KEY (repository_id, parent_id, child_id)
) /*clustered*/;
CREATE INDEX manifest_child_parent ON manifest_child (parent_id);
CREATE INDEX manifest_child_child ON manifest_child (child_id, parent_id);

CREATE TABLE upload (
    id            TEXT PRIMARY KEY NOT NULL,
    repository_id BIGINT NOT NULL REFERENCES repository (id),
    object        BLOB NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    bytes         BIGINT NOT NULL,
    checkpoint    BLOB
) /*heap*/;
CREATE INDEX upload_repository ON upload (repository_id);
CREATE INDEX upload_updated ON upload (updated_at);

-- What the collector has to look at. A row says: at `since` (or earlier, and since then again) this blob was in this
-- repository, or had just been taken out of it, without any manifest of the repository referring to it.
--
-- It is a hint and may be out of date: a manifest that refers to the blob may have come later, the repository may be gone.
-- But it is complete, and that is what operations owe the collector:
--   (a) a row of repository_blob that no row of manifest_blob refers to has a row here;
--   (b) a row of blob that no row of repository_blob refers to has a row here.
-- So whoever looks at a row older than the grace period must, in one transaction: leave everything as it is if
-- manifest_blob refers to (repository, blob); otherwise delete the row of repository_blob, if there is one; then delete the
-- row of blob, if no row of repository_blob is left for it, and record its object in dead_object; and delete the row here.
CREATE TABLE unreferenced (
    blob_id       BIGINT NOT NULL REFERENCES blob (id),
    repository_id BIGINT NOT NULL,
    since         BIGINT NOT NULL,
    PRIMARY KEY (blob_id, repository_id)
) /*clustered*/;
CREATE INDEX unreferenced_since ON unreferenced (since);

-- Objects of the blob store that no other row names any more and that are still to be deleted there. The id gives the order
-- in which they died.
CREATE TABLE dead_object (
    id     BIGINT PRIMARY KEY NOT NULL,
    object BLOB NOT NULL UNIQUE
) /*heap*/;
