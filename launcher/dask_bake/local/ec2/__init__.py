"""EC2's operations as the local cloud has them, before and after moto answers; begins in ``api``."""
