"""Images that are there: found, compared, copied, shared, removed; begins in ``catalog``."""
