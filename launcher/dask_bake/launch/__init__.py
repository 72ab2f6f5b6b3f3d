"""A launch: what there is, the plan, its checks, and the carrying out; begins in ``executor``."""
