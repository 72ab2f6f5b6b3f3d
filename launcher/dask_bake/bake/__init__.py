"""Bake an image: find the one that a recipe describes, or build and verify it.

Open ``bake`` first: ``bake()`` is the whole command. A recipe (``recipe``) is every input of an image,
staged in a folder and hashed (``staging``); equal digests mean equal images, so the newest image with the
digest is reused. Otherwise ``build`` packs the payload, has Packer build the AMI (``packer/``), tags it and
has ``verify`` boot it. A lease (``lease``), which is a security group named after the digest, keeps two
bakes of one digest apart. ``options`` and ``plan`` are pure: what a user chooses, and the names, tags and
Packer variables that follow from it. ``context`` holds what a bake uses of the world, so that tests can
hand in fakes. After a failure or Ctrl-C nothing is left; what may be left in spite of that is named by a
``LeftoverError``.
"""
