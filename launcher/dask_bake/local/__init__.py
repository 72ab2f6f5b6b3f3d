"""The local cloud: an EC2 on this machine whose instances boot, for free trials and for end-to-end tests.

It is reached by its URL alone, with the requests that AWS gets; the launcher imports nothing of it except
``control`` (start, find, stop) and ``faults.client``. Everything else runs in one process of root's, the
server.

Open ``server`` first: ``serve`` shows what there is and in which order it is started and removed. A request
then goes down the packages:

    gateway    the HTTP endpoint: faults, log, dispatch by service
    ec2        EC2's operations, and the checks that moto lacks
    machines   instances as systemd-nspawn containers
    moto       the state of EC2: moto's models, extended
    network    bridge, firewall, DHCP, instance metadata     storage    images as layers on disk
    faults     what fails, and when                          samples    data in S3

``query_protocol`` has EC2's requests and responses. ``settings`` is one local cloud's name, root, port and
block: everything else is named after them, so that several local clouds run side by side. ``credentials``
is the key pair of one, ``signature`` signs with it and verifies. ``pidfile`` locks a local cloud for one
server, ``cleanup`` finds what a killed one left, ``requirements`` checks programs and root,
``server_process`` starts the server, ``admin_client`` speaks to its admin API.

Two rules decide what is built here. What EC2 refuses is refused, with EC2's error code; and what the local
cloud cannot do is refused too, rather than accepted without an effect. docs/local-cloud.md lists where it
differs.
"""
