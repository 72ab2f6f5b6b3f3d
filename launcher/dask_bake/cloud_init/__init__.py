"""User-data: what makes an instance a node, as cloud-init reads it; begins in ``render``."""
