"""The local cloud: an EC2 on this machine, whose instances really boot."""
