"""boto3's paginators against the registry whose URL is the argument; prints "ok"."""

import hashlib
import json
import sys

import boto3
from botocore.exceptions import ClientError

ecr = boto3.client("ecr", endpoint_url=sys.argv[1], region_name="us-east-1")

names = sorted(f"boto/r{number:02}" for number in range(12))
for name in names:
    ecr.create_repository(repositoryName=name)
pages = list(ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 5}))
assert [len(page["repositories"]) for page in pages] == [5, 5, 2], pages
assert sorted(found["repositoryName"] for page in pages for found in page["repositories"]) == names

config = b"{}"
digest = "sha256:" + hashlib.sha256(config).hexdigest()
upload = ecr.initiate_layer_upload(repositoryName=names[0])
ecr.upload_layer_part(
    repositoryName=names[0], uploadId=upload["uploadId"], partFirstByte=0, partLastByte=1, layerPartBlob=config
)
ecr.complete_layer_upload(repositoryName=names[0], uploadId=upload["uploadId"], layerDigests=[digest])
for number in range(7):
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest, "size": len(config)},
        "layers": [],
        "annotations": {"number": str(number)},
    }
    ecr.put_image(repositoryName=names[0], imageManifest=json.dumps(manifest), imageTag=f"v{number}")
for operation, member in [("list_images", "imageIds"), ("describe_images", "imageDetails")]:
    pages = list(ecr.get_paginator(operation).paginate(repositoryName=names[0], PaginationConfig={"PageSize": 3}))
    assert [len(page[member]) for page in pages] == [3, 3, 1], (operation, pages)

try:
    ecr.describe_repositories(repositoryNames=["boto/none"])
    raise AssertionError("an unknown repository was described")
except ecr.exceptions.RepositoryNotFoundException as error:
    assert "boto/none" in str(error), error
except ClientError as error:
    raise AssertionError(f"not the modelled exception: {error}") from error

print("ok")
