"""Notebooks of a head, saved on this machine before its cluster ends.

``collect`` runs a program on the head and checks what it answers; ``folder`` writes the notebooks to this
machine, over no other file; ``keeper`` does both when a connected cluster is about to shut itself down.
"""
