"""moto as it is used and mended for machines that boot; begins in ``app``."""
