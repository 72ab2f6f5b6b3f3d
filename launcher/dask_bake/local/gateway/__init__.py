"""The endpoint of the local cloud: who answers which request, and which go wrong; begins in ``app``."""
