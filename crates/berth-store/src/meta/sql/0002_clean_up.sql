-- Lifecycle runs and their history, expired images that can still be restored, previews.

-- A new number with every put, so that a run knows whether the policy is still the one that it evaluated.
ALTER TABLE lifecycle_policy ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
-- When the next run may begin; NULL until the scheduler has seen the policy. While a run is under way: when its lease ends.
ALTER TABLE lifecycle_policy ADD COLUMN due_at BIGINT;
-- Who runs it.
ALTER TABLE lifecycle_policy ADD COLUMN lease TEXT;
CREATE INDEX lifecycle_policy_due ON lifecycle_policy (due_at);

INSERT INTO sequence (name, value) VALUES ('lifecycle_policy', 0), ('lifecycle_run', 0), ('expired_image', 0);

CREATE TABLE lifecycle_run (
    id             BIGINT PRIMARY KEY NOT NULL,
    repository_id  BIGINT NOT NULL REFERENCES repository (id),
    policy_version BIGINT NOT NULL,
    policy         TEXT NOT NULL,
    started_at     BIGINT NOT NULL,
    -- NULL: under way, or cut off by a crash.
    finished_at    BIGINT,
    -- Images deleted, and the bytes of the blobs that went with them: counted in the transactions that delete.
    image_count    BIGINT NOT NULL,
    blob_bytes     BIGINT NOT NULL,
    -- Until when images can be restored; NULL: they cannot.
    restorable_until BIGINT,
    -- What the registry has to say about the run, as JSON.
    report         TEXT
) /*heap*/;
CREATE INDEX lifecycle_run_order ON lifecycle_run (repository_id, id);

-- An image that a run deleted.
CREATE TABLE lifecycle_run_image (
    run_id      BIGINT NOT NULL REFERENCES lifecycle_run (id),
    -- The row it had.
    manifest_id BIGINT NOT NULL,
    digest      BLOB NOT NULL,
    -- Joined by spaces, which no tag contains.
    tags        TEXT NOT NULL,
    image_bytes BIGINT NOT NULL,
    rule        BIGINT NOT NULL,
    -- The image that it followed.
    subject     BLOB,
    reason      TEXT NOT NULL,
    restored    BIGINT NOT NULL,
    PRIMARY KEY (run_id, manifest_id)
) /*clustered*/;

-- An image that a run deleted and that can be restored: no longer a row of manifest, so that nothing lists or serves it.
CREATE TABLE expired_image (
    id             BIGINT PRIMARY KEY NOT NULL,
    repository_id  BIGINT NOT NULL REFERENCES repository (id),
    run_id         BIGINT NOT NULL REFERENCES lifecycle_run (id),
    digest         BLOB NOT NULL,
    media_type     TEXT NOT NULL,
    artifact_type  TEXT,
    manifest_bytes BIGINT NOT NULL,
    image_bytes    BIGINT NOT NULL,
    subject        BLOB,
    pushed_at      BIGINT NOT NULL,
    last_pulled_at BIGINT,
    tags           TEXT NOT NULL,
    sealed         BLOB NOT NULL,
    keep_until     BIGINT NOT NULL,
    UNIQUE (repository_id, digest)
) /*heap*/;
CREATE INDEX expired_image_run ON expired_image (run_id, id);
CREATE INDEX expired_image_keep_until ON expired_image (keep_until);

-- Blobs that it names. The collector leaves them in the repository while this row is there. No foreign key: who deletes a
-- blob by its digest may, and the image cannot be restored then. required = 0: the image is complete without it.
CREATE TABLE expired_blob (
    repository_id BIGINT NOT NULL,
    digest        BLOB NOT NULL,
    expired_id    BIGINT NOT NULL REFERENCES expired_image (id),
    required      BIGINT NOT NULL,
    PRIMARY KEY (repository_id, digest, expired_id)
) /*clustered*/;
CREATE INDEX expired_blob_image ON expired_blob (expired_id);

-- Images that it lists, if it is an index.
CREATE TABLE expired_child (
    expired_id BIGINT NOT NULL REFERENCES expired_image (id),
    digest     BLOB NOT NULL,
    PRIMARY KEY (expired_id, digest)
) /*clustered*/;

-- The last preview of a repository's lifecycle policy.
CREATE TABLE lifecycle_preview (
    repository_id  BIGINT PRIMARY KEY NOT NULL REFERENCES repository (id),
    id             TEXT NOT NULL,
    policy         TEXT NOT NULL,
    -- IN_PROGRESS, COMPLETE or FAILED.
    status         TEXT NOT NULL,
    changed_at     BIGINT NOT NULL,
    expire_count   BIGINT NOT NULL,
    archive_count  BIGINT NOT NULL
) /*heap*/;

-- An image that the previewed policy would act on.
CREATE TABLE lifecycle_preview_image (
    repository_id BIGINT NOT NULL REFERENCES repository (id),
    position      BIGINT NOT NULL,
    digest        BLOB NOT NULL,
    tags          TEXT NOT NULL,
    pushed_at     BIGINT NOT NULL,
    action        TEXT NOT NULL,
    rule          BIGINT NOT NULL,
    PRIMARY KEY (repository_id, position)
) /*clustered*/;
