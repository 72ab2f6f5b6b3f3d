"""Storage of the local cloud: images, snapshots and the Debian trees that images are based on.

Open ``image_store`` first. An image is a JSON file and a list of layers: read-only trees that overlayfs
stacks. Making an image of a stopped instance renames what the instance wrote to a new layer, so images take
no time and share what they have in common. Layers that no image and no instance needs are removed. The store
is the only part of the local cloud that outlives its server.

``base_image`` makes the lowest layer, a Debian tree per release, with mmdebstrap; a digest of its ingredients
decides whether an existing tree is still current. ``apt`` reads from the host which mirror and proxy to use.
"""
