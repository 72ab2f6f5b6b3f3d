"""moto's models and applications, extended for instances that boot: the state of EC2.

Open ``ec2`` first: ``MotoEc2`` prepares moto's backend of a region at its first use and holds what spans the
regions: ``instances`` and ``images``. moto's objects stay the only record of EC2's state; where one needs
more than moto has, its class is replaced by a subclass (``LocalInstance``, ``LocalSubnet``, ``LocalAmi``,
``LocalSnapshot``), so that moto's own responses contain it.

``app`` makes the WSGI applications, ``zones`` puts the default VPC on the bridge's address block,
``security_groups`` and ``firewall_sync`` turn moto's groups into firewall rules, ``metadata`` has the
content of an instance's metadata service, and ``records`` converts images and snapshots to and from the image
store. ``speedups`` replaces slow functions. ``models`` is the only module that imports moto's models, because
moto reads its settings when it is imported. Validation and operations are in ``local.ec2``.
"""
