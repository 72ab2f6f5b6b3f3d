"""The way to a cluster's head, its keys, and what goes through it; begins in ``connect``."""
