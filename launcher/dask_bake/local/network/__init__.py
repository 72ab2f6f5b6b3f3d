"""The network between the machines: bridge, firewall, DHCP, metadata; begins in ``bridge``."""
