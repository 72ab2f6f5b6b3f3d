"""The CycloneDX document of an image: valid, complete and reproducible."""

import json
from dataclasses import replace

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from dask_bake.environment.pip_lock import Package
from dask_bake.images.sbom import purl, render_sbom
from fake_images import MANIFEST, an_image


def test_the_document_has_the_image_and_its_packages():
    document = json.loads(render_sbom(an_image(), MANIFEST))

    assert (document["specVersion"], document["version"]) == ("1.6", 1)
    assert document["serialNumber"] == "urn:uuid:55706b23-28b4-5ce2-9e68-5e21db7ae297"
    assert document["metadata"] == {
        "component": {
            "bom-ref": MANIFEST.digest,
            "name": "dask-bake-000000000001",
            "properties": [
                {"name": "dask-bake:base-name", "value": "debian-12-amd64-20260701-2100"},
                {"name": "dask-bake:digest", "value": MANIFEST.digest},
                {"name": "dask-bake:image", "value": "ami-00000000000000001"},
                {"name": "dask-bake:input:base_image", "value": "ami-base"},
                {"name": "dask-bake:input:installer", "value": "pip"},
                {"name": "dask-bake:python", "value": "3.11.2"},
            ],
            "type": "operating-system",
            "version": MANIFEST.digest,
        },
        "timestamp": "2026-08-02T12:00:00+00:00",
    }
    dask = "pkg:pypi/dask@2026.8.0"
    numpy = "pkg:conda/numpy@2.3.0?build=py311_0&channel=conda-forge&subdir=linux-64"
    assert document["components"] == [
        {
            "bom-ref": dask,
            "hashes": [{"alg": "SHA-256", "content": "d" * 64}],
            "name": "dask",
            "purl": dask,
            "type": "library",
            "version": "2026.8.0",
        },
        {
            "bom-ref": numpy,
            "hashes": [{"alg": "SHA-256", "content": "c" * 64}],
            "name": "numpy",
            "purl": numpy,
            "type": "library",
            "version": "2.3.0",
        },
    ]
    assert {"dependsOn": [numpy, dask], "ref": MANIFEST.digest} in document["dependencies"]


def test_the_document_is_valid():
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(render_sbom(an_image(), MANIFEST)) is None


def test_the_order_of_packages_does_not_change_the_document():
    turned = replace(MANIFEST, packages=MANIFEST.packages[::-1])
    assert render_sbom(an_image(), MANIFEST) == render_sbom(an_image(), turned)


def test_another_digest_is_another_serial_number():
    documents = [json.loads(render_sbom(an_image(), replace(MANIFEST, digest=each * 64))) for each in "ab"]
    assert documents[0]["serialNumber"] != documents[1]["serialNumber"]


def test_a_package_without_a_hash_has_none():
    bare = replace(MANIFEST, packages=(Package("dask", "2026.8.0", ""),))
    (component,) = json.loads(render_sbom(an_image(), bare))["components"]
    assert "hashes" not in component


@pytest.mark.parametrize(
    ("package", "name"),
    [
        (Package("Typing_Extensions", "4.0", ""), "pkg:pypi/typing-extensions@4.0"),
        (Package("_libgcc_mutex", "0.1", "", "conda"), "pkg:conda/_libgcc_mutex@0.1"),
        (
            Package("x", "1!2.0", "", "conda", "h1_0", "https://example.org/c", "noarch"),
            "pkg:conda/x@1%212.0?build=h1_0&channel=https://example.org/c&subdir=noarch",
        ),
    ],
)
def test_a_package_has_its_package_url(package, name):
    assert purl(package).to_string() == name
