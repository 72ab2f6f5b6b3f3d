"""One build of an image: payload, Packer, tags, verification; removed again if any of it fails."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from dask_bake.bake.context import BakeContext, ImageBuilder
from dask_bake.bake.options import BakeOptions
from dask_bake.bake.plan import Site, image_name, image_tags, packer_variables, volume_size
from dask_bake.bake.recipe import pack_rootfs
from dask_bake.bake.staging import DISK_SPACE_NEEDED, StagedImage
from dask_bake.environment.installers import ENVIRONMENT_FILE
from dask_bake.errors import CapacityError, LeftoverError, NotReadyError, first_defect, unexpected
from dask_bake.events import Note, Notify, Phases
from dask_bake.hints import command_line
from dask_bake.images import manifest
from dask_bake.images.facts import free_name
from dask_bake.models.ec2 import Image, Subnet
from dask_bake.models.owner import Owner
from dask_bake.models.tags import Tag, Tags, Verified
from dask_bake.ssh.keypair import new_key
from dask_bake.system.disk import explain_disk_errors

SEAL = "seal"


@dataclass(frozen=True)
class Build:
    """One build of an image; ``tags`` are those of everything that is created for it on the way."""

    options: BakeOptions
    context: BakeContext
    staged: StagedImage
    tags: Tags
    owner: Owner
    phases: Phases
    notify: Notify
    now: Callable[[], datetime]

    def bring(self) -> int:
        """Fill the payload and return the size of the packages.

        environment.yml stays here: no script reads it, and an index in it can have a password.
        """
        installer, template = self.context.installer, self.staged.template
        with explain_disk_errors(template, needed=DISK_SPACE_NEEDED):
            payload = pack_rootfs(template)
            (payload / "manifest.json").write_text(manifest.render(self.staged.manifest))
            for name in installer.files.keys() - {ENVIRONMENT_FILE}:
                (payload / name).write_bytes((template / name).read_bytes())
        return installer.bring(payload, self.notify)

    def run(self, builder: ImageBuilder, subnets: Sequence[Subnet], group_id: str) -> Image:
        """Build, seal and verify the image; remove it after any failure."""
        name, is_removed = self._name(), False
        try:
            try:
                return self.finish(self._build_somewhere(builder, subnets, group_id, name))
            except BaseException as error:
                self._remove_all(name, error)
                is_removed = True
                raise
        except KeyboardInterrupt as error:
            if is_removed:
                raise
            raise self._unknown(name, error.__context__ or error, error) from error

    def finish(self, image: Image) -> Image:
        """Add what Packer cannot set, and verify the image unless ``--no-verify`` is given.

        Raises:
            NotReadyError: when verification fails; the image is then tagged so.
        """
        images, staged = self.context.images, self.staged
        self.phases.enter(SEAL)
        own, spilled = manifest.as_tags(staged.manifest)
        images.tag([image.id], own)
        if image.snapshot_id is not None and spilled:
            images.tag([image.snapshot_id], spilled)
        images.require_imdsv2(image.id)
        if (deprecation := self._deprecation()) is not None:
            images.deprecate(image.id, deprecation)
        self.phases.leave()
        if not self.options.verify:
            return self._judged(_tagged(image, own), Verified.SKIPPED)
        try:
            self.context.verify(image, staged.recipe.digest, self.options, self.notify)
        except NotReadyError as error:
            self._judged(image, Verified.FAILED)
            why = error.hint or "it failed verification"
            raise NotReadyError(
                error.message, hint=f"{why}; dask-bake bake --force builds the image again"
            ) from error
        return self._judged(_tagged(image, own), Verified.YES)

    def _build_somewhere(
        self, builder: ImageBuilder, subnets: Sequence[Subnet], group_id: str, name: str
    ) -> Image:
        """Build in the first zone that has capacity for the type; those that EC2 recommends come first."""
        left = list(subnets)
        while True:
            subnet = left.pop(0)
            try:
                return self._build(builder, subnet, group_id, name)
            except CapacityError as error:
                if not left:
                    raise
                recommended = error.zones
                left.sort(key=lambda each: each.zone not in recommended)
                kind = self.options.instance_type
                self.notify(Note(f"{subnet.zone} lacks capacity for {kind}: trying {left[0].zone}."))

    def _build(self, builder: ImageBuilder, subnet: Subnet, group_id: str, name: str) -> Image:
        """Have Packer build, and return the image as EC2 describes it; its tags may not be visible yet."""
        context, staged, installer = self.context, self.staged, self.context.installer
        tags = image_tags(
            self.options, staged.recipe, staged.base, self.owner, installer.environment.name, installer.lock
        )
        with self._key() as (key, user_data):
            site = Site(subnet.id, group_id, user_data, key, self.tags)
            if (size := volume_size(self.options, staged.base)) != self.options.volume_size:
                self.notify(Note(f"The root volume has {size} GiB, as the base image {staged.base.id} has."))
            variables = packer_variables(
                self.options,
                context.cloud,
                site,
                name=name,
                tags=tags,
                base=staged.base,
                deprecate_at=self._deprecation(),
            )
            built = builder.build(staged.template, variables, context.credentials(), self.notify)
            return _tagged(context.ec2.image(built), tags)

    def _deprecation(self) -> datetime | None:
        days = self.options.deprecate_after
        return self.now() + timedelta(days=days) if days else None

    def _name(self) -> str:
        name = image_name(self.staged.recipe)
        there = self.context.ec2.find_images(owners=("self",), filters={"name": f"{name}*"})
        return free_name(name, {image.name for image in there})

    def _judged(self, image: Image, verdict: Verified) -> Image:
        tags = ((Tag.VERIFIED, str(verdict)),)
        self.context.images.tag([image.id], tags)
        return _tagged(image, tags)

    @contextmanager
    def _key(self) -> Iterator[tuple[Path, Path]]:
        """Make a key for this instance, and the user-data that authorizes it; EC2 gets no key pair."""
        pair = new_key("dask-bake bake")
        with tempfile.TemporaryDirectory(dir=self.staged.template.parent, prefix="key-") as name:
            key, user_data = Path(name, "id_ed25519"), Path(name, "user-data")
            key.touch(mode=0o600)
            key.write_text(pair.private)
            user_data.write_text(f"#cloud-config\nssh_authorized_keys:\n  - {pair.public}\n")
            yield key, user_data

    def _remove_all(self, name: str, reason: BaseException) -> None:
        """Remove the images of that name, except one that is ready and so belongs to another bake."""
        try:
            there = self.context.ec2.find_images(owners=("self",), filters={"name": name})
        except Exception as error:  # a defect must not hide what is left
            raise self._unknown(name, reason, error) from error
        for image in there:
            if image.tag(Tag.VERIFIED) in ("", Verified.FAILED):
                self._remove(image, reason)

    def _remove(self, image: Image, reason: BaseException) -> None:
        try:
            self.context.images.remove(image)
        except (Exception, KeyboardInterrupt) as error:
            left = f"the image {image.id} ({image.name}) or its snapshot {image.snapshot_id} remains"
            raise self._left(left, image.id, reason, error) from error
        self.notify(Note(f"The image {image.id} was removed."))

    def _unknown(self, name: str, reason: BaseException, error: BaseException) -> LeftoverError:
        return self._left(f"an image {name} may remain, with its snapshot", name, reason, error)

    def _left(self, what: str, reference: str, reason: BaseException, error: BaseException) -> LeftoverError:
        causes = [unexpected(each) for each in (reason, error) if isinstance(each, Exception)]
        why = f"{causes[0].message}; " if causes and isinstance(reason, Exception) else ""
        remove = command_line("images", "remove", reference, "--yes")
        return LeftoverError(
            f"{why}{what}: {causes[-1].message if isinstance(error, Exception) else error or 'interrupted'}",
            hint=f"{remove}; or deregister it and delete its snapshot in EC2",
            defect=first_defect(causes),
        )


def _tagged(image: Image, tags: Tags) -> Image:
    return replace(image, tags=tuple({**dict(image.tags), **dict(tags)}.items()))
