"""What is in an image as a CycloneDX document: the same image, the same bytes."""

from datetime import UTC
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from dask_bake.environment.pip_lock import Package
from dask_bake.images.manifest import Manifest
from dask_bake.models.ec2 import Image
from dask_bake.models.tags import Tag


def render_sbom(image: Image, manifest: Manifest) -> str:
    """The document, version 1.6 of the standard, as JSON.

    Its serial number comes from the digest and its time from the image: nothing in it is of the moment.
    """
    whole = _image(image, manifest)
    components = [_package(package) for package in manifest.packages]
    bom = Bom(
        serial_number=uuid5(NAMESPACE_URL, f"dask-bake:{manifest.digest}"),
        metadata=BomMetaData(component=whole, timestamp=image.created.astimezone(UTC)),
        components=components,
    )
    bom.register_dependency(whole, components)
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)


def purl(package: Package) -> PackageURL:
    """The package's name in every such document (github.com/package-url/purl-spec)."""
    if package.kind == "conda":
        qualifiers = {"build": package.build, "channel": package.channel, "subdir": package.subdir}
        return PackageURL(
            "conda",
            name=package.name,
            version=package.version,
            qualifiers={k: v for k, v in qualifiers.items() if v},
        )
    return PackageURL("pypi", name=package.name, version=package.version)


def _image(image: Image, manifest: Manifest) -> Component:
    facts = {
        "dask-bake:digest": manifest.digest,
        "dask-bake:image": image.id,
        "dask-bake:python": manifest.python,
        "dask-bake:base-name": image.tag(Tag.BASE_NAME),
        **{f"dask-bake:input:{key}": value for key, value in manifest.inputs},
    }
    return Component(
        name=image.name,
        version=manifest.digest,
        type=ComponentType.OPERATING_SYSTEM,
        bom_ref=manifest.digest,
        properties=[Property(name=name, value=value) for name, value in facts.items() if value],
    )


def _package(package: Package) -> Component:
    name = purl(package)
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=package.sha256)] if package.sha256 else []
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=name.to_string(),
        purl=name,
        hashes=hashes,
    )
