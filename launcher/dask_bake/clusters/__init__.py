"""Clusters that are there: found, opened, extended, taken down, and what is left of them;
begins in ``inventory``.
"""
