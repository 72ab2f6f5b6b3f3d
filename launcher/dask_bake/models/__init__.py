"""The nouns that all the others speak of; begins in ``cluster``."""
