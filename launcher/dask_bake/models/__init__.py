"""Frozen values that pass between the packages, without any SDK's types in them.

Open ``cluster`` first. ``cloud`` has the two clouds and the choices that users make, ``ec2`` EC2's resources
in our own types, ``tags`` the tag keys by which everything is found again, ``owner`` who made it,
``resources`` what a launch can leave behind and ``reap`` removes, ``debian`` the releases that images are
baked from. A value knows nothing of how it is looked up or shown.
"""
