"""Packer as it is run and listened to; begins in ``packer``."""
