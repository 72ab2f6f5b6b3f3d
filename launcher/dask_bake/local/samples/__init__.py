"""Sample data in the local cloud's S3; begins in ``s3``."""
