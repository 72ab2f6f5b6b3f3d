"""The instances' network: a bridge with an address block of its own, isolated by the host's firewall.

Open ``bridge`` first: it chooses the block and connects machines. Ports of the bridge are isolated from each
other, so that traffic between instances passes the host, where nftables can filter it on any kernel.

``firewall`` has the rules that never change: instances reach DHCP, DNS, metadata and S3 of the host and
nothing else. ``security_groups`` renders the rules that follow EC2's security groups; both are plain text in
nft's language, compared in unit tests. All names (bridge, tables) derive from the local cloud's name, so that
several local clouds coexist. ``dnsmasq`` gives each machine the address that EC2 has allocated for it, from
``addresses``. ``imds`` is the instance metadata service, reached at 169.254.169.254 by redirection.
"""
