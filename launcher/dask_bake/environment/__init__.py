"""What is to be installed in an image, and its locks; begins in ``resolve``."""
