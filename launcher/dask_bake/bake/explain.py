"""What a bake would build, and how that differs from the newest image: nothing is made."""

from dataclasses import dataclass

from dask_bake.bake.context import BakeContext
from dask_bake.bake.options import BakeOptions
from dask_bake.bake.staging import stage_image
from dask_bake.images.catalog import look_up
from dask_bake.images.differences import Differences, differences
from dask_bake.images.manifest import Manifest
from dask_bake.models.debian import minor
from dask_bake.models.ec2 import Image


@dataclass(frozen=True)
class Explanation:
    """What would be built.

    Args:
        image: the image of just that recipe, where there is one: then nothing would be built.
        newest: the newest image of this environment and architecture, which the recipe is compared with.
        found: what differs from the newest; ``None`` where there is nothing to compare with.
    """

    manifest: Manifest
    environment: str
    image: Image | None
    newest: Image | None
    found: Differences | None


def explain(options: BakeOptions, context: BakeContext) -> Explanation:
    """What would be built now."""
    with stage_image(options, context) as staged:
        facts = look_up(context.images)
        name = context.installer.environment.name
        same = [each for each in facts if each.digest == staged.recipe.digest and each.is_ready]
        if options.force:
            same = []
        kind = (name, str(options.architecture), minor(staged.manifest.python))
        newest = next((each for each in facts if each.kind == kind and each.manifest is not None), None)
        known = newest.manifest if newest else None
        return Explanation(
            manifest=staged.manifest,
            environment=name,
            image=same[0].image if same else None,
            newest=newest.image if newest else None,
            found=differences(known, staged.manifest) if known else None,
        )
