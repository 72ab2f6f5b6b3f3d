"""Clusters that exist: find, describe, open, extend and remove them, and whatever a launch has left behind.

Open ``inventory`` first: ``list_clusters`` and ``find`` return the clusters of a region from the tags of
instances and security groups. Nothing about a cluster is recorded on the user's machine except its keys, so
any machine with AWS credentials can list a cluster and remove it. ``naming`` has the names of security
groups, their rules, and the errors for a name in use; a cluster's name is unique in its VPC because its
security group's name is, and in the region by ``name_lock``. ``ownership`` says who makes what a command
makes; tags record it. ``cluster_file`` reads the file that ``launch --file`` wrote: it only says which
cluster is meant, and everything else is looked up. A file that ``CLUSTERFILE`` names is ignored if an option
contradicts it; for a file given with ``--file`` that is an error.

- ``condition`` decides, without a request, whether a cluster is starting, up, degraded, ended or foreign, and
  says why; every command uses its words.
- ``teardown`` removes the resources with given tags: instances, then key pairs, then security groups, which
  are last because a cluster is found by them. It serves ``down``, a failed launch, a bake and ``reap``. It
  repeats until EC2 has listed nothing twice in a row, since EC2 may list a new instance late. If anything may
  remain, it raises a ``LeftoverError`` that names it.
- ``orphans`` decides, without a request, which resources belong to no living cluster. A cluster lives while
  its head exists, a bake while it has an instance younger than six hours. Resources of a launch that was
  active within the grace period are kept, since it may be starting or ending, and so are those of unknown
  age. Each launch is judged on its own, by its id: a cluster's name may have been used again since.
- ``reap`` looks up the tagged resources of several regions at once and removes the orphaned ones. A region
  that cannot be read, or a resource that cannot be removed, does not stop the others.
- ``ssh_access`` computes the security-group changes of ``allow-me``. It closes only rules that dask-bake
  opened, which it recognises by their description. It also chooses the Instance Connect Endpoint for SSH.
- ``auto_shutdown`` parses and describes the timers that shut a cluster down. The head decides when to shut
  down, so that a cluster ends even if the user's machine is gone; this package only shows its timers.
"""
