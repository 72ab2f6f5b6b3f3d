"""EC2 as the rest sees it: calls with our types in and out; begins in ``api``."""
