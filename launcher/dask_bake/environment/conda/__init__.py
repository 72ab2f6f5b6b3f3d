"""Packages by way of conda: solved, locked, brought; begins in ``solve``."""
