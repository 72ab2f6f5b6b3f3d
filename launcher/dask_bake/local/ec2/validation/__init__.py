"""What EC2 refuses of what it is asked with; begins in ``parameters``."""
