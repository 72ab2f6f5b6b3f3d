"""moto, extended where instances boot: its models and applications, and the state of EC2 that it keeps.

Open ``ec2`` first: ``MotoEc2`` prepares moto's backend of a region at its first use and holds what spans the
regions: ``instances`` and ``images``. moto's objects stay the only record of EC2's state; where one needs
more than moto has, its class is replaced by a subclass (``LocalInstance``, ``LocalSubnet``, ``LocalAmi``,
``LocalSnapshot``), so that moto's own responses contain it.

``app`` makes the WSGI applications, ``zones`` puts the default VPC on the bridge's address block,
``security_groups`` and ``firewall_sync`` turn moto's groups into firewall rules, ``metadata`` is what the
metadata service returns for an instance, and ``records`` converts images and snapshots to and from the image
store. ``speedups`` replaces slow functions. ``models`` is the only module that imports moto's models, because
moto reads its settings when it is imported. What EC2 does beyond keeping state is decided in ``local.ec2``.
"""
