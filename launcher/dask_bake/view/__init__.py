"""Results, plans and errors as a person reads them, and as JSON; begins in ``terminal``."""
