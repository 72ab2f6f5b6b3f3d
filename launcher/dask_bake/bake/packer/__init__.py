"""Run Packer and follow its output.

Open ``packer`` first: ``PackerBuilder`` turns a template and its variables into an image's id. ``process``
runs the program through packer-py in a thread, so that Ctrl-C reaches Packer once and it can remove its
instance; ``output`` reads its machine-readable lines as phases, progress, an image id or a failure.
"""
