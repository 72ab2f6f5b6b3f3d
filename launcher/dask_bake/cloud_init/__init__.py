"""User-data of the nodes: a ``#cloud-config`` that says the role and where the scheduler is.

Open ``render`` first: ``render(role, settings)`` returns the text that EC2 passes to an instance.

- ``settings`` holds the input: ``NodeSettings``, the values of one role.
- ``files`` decides which files a node gets. The systemd units in the image wait for these files and read
  them: paths and variables are an interface between launcher and image.
- ``encoding`` writes values so that systemd, a shell, sshd and YAML all read them back unchanged.
- ``merge`` checks the user's own ``#cloud-config`` and adds it as a second MIME part.
- ``certificates`` creates the CA of a cluster and a certificate for each role, for ``--tls``.

The image contains the software and its units; user-data contains only values. Nothing is installed at boot,
so a node is ready seconds after cloud-init has written its files.

The templates in ``userdata/`` emit every value as JSON, which is YAML: no value can end its string. A missing
value is an error, and the result is parsed before it is sent. The user's part can add to dask-bake's part and
cannot replace anything in it. User-data never contains the private key of the CA; it contains the keys of the
node's own certificates.
"""
