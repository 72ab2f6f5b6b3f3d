"""The action of a request to S3."""

import io
from urllib.parse import quote

import pytest

from dask_bake.local.iam.s3_actions import s3_actions

OBJECT = "arn:aws:s3:::b/k/l m"


def actions(method, target, **headers):
    path, _, query = target.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": query,
        "wsgi.input": io.BytesIO(),
        "wsgi.url_scheme": "http",
        "SERVER_NAME": "s",
        "SERVER_PORT": "80",
        **headers,
    }
    return [(each.name, each.resource) for each in s3_actions(environ)]


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/", ("ListAllMyBuckets", "*")),
        ("GET", "/b", ("ListBucket", "arn:aws:s3:::b")),
        ("HEAD", "/b", ("ListBucket", "arn:aws:s3:::b")),
        ("GET", "/b/?list-type=2&prefix=k%2F&delimiter=%2F", ("ListBucket", "arn:aws:s3:::b")),
        ("GET", "/b?location", ("GetBucketLocation", "arn:aws:s3:::b")),
        ("PUT", "/b", ("CreateBucket", "arn:aws:s3:::b")),
        ("DELETE", "/b", ("DeleteBucket", "arn:aws:s3:::b")),
        ("POST", "/b?delete", ("DeleteObject", "arn:aws:s3:::b/*")),
        ("GET", "/b/k/l m", ("GetObject", OBJECT)),
        ("HEAD", "/b/k/l m?partNumber=1", ("GetObject", OBJECT)),
        ("GET", "/b/k/l m?uploadId=1", ("ListMultipartUploadParts", OBJECT)),
        ("PUT", "/b/k/l m?x-id=PutObject", ("PutObject", OBJECT)),
        ("PUT", "/b/k/l m?partNumber=1&uploadId=1", ("PutObject", OBJECT)),
        ("POST", "/b/k/l m?uploads", ("PutObject", OBJECT)),
        ("POST", "/b/k/l m?uploadId=1", ("PutObject", OBJECT)),
        ("DELETE", "/b/k/l m", ("DeleteObject", OBJECT)),
        ("DELETE", "/b/k/l m?uploadId=1", ("AbortMultipartUpload", OBJECT)),
        ("GET", "/b/é", ("GetObject", "arn:aws:s3:::b/é")),
    ],
)
def test_method_and_parameters_make_the_action(method, target, expected):
    assert actions(method, target) == [(f"s3:{expected[0]}", expected[1])]


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/b?policy"),
        ("PUT", "/b?acl"),
        ("GET", "/b/k?acl"),
        ("GET", "/b/k?versionId=1"),
        ("PUT", "/b/k?acl"),
        ("PUT", "/b/k?tagging"),
        ("POST", "/b"),
        ("POST", "/b/k?select&select-type=2"),
        ("DELETE", "/b?policy"),
        ("PATCH", "/b/k"),
        ("PUT", "/"),
    ],
)
def test_other_requests_are_none_of_a_session_s(method, target):
    assert actions(method, target) == []


@pytest.mark.parametrize("source", ["a/x y", "/a/x y", quote("a/x y"), "a/x%20y?versionId=1"])
def test_a_copy_reads_its_source(source):
    expected = [("s3:PutObject", "arn:aws:s3:::b/k"), ("s3:GetObject", "arn:aws:s3:::a/x y")]

    assert actions("PUT", "/b/k", HTTP_X_AMZ_COPY_SOURCE=source) == expected
