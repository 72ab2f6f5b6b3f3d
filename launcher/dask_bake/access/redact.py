"""Secrets in logs, struck out before somebody else reads them.

What looks like a secret is struck out as well: a bundle is for a bug report, and a line too few is no harm.
"""

import re

KEY = r"[A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
PEM = re.compile(rf"-----BEGIN {KEY}.*?(?:-----END {KEY}|\Z)", re.DOTALL)
"""A private key; one that is cut off reaches to the end of the text."""
NAMED = re.compile(
    r"""(?ix)
    (?P<name>
        [\w.-]*
        (?:secret|passw(?:or)?d|passphrase|token|(?:api|access|private)[_-]?key|credential|signature)
        [\w.-]*["']?\s*(?:[=:]|=>)\s*["']?
        | authorization["']?\s*[:=]\s*["']?(?:(?:basic|bearer|token)\s+)?
        | bearer\s+
    )
    (?P<value>[^\s"'&,;}\])]{4,})
    """
)
"""A value behind a name that secrets have: ``aws_secret_access_key = …``, ``?token=…``, ``Bearer …``."""
IN_URL = re.compile(r"(?P<name>\b[a-z][a-z0-9+.-]*://[^\s/@:]*:)(?P<value>[^\s/@]+)(?=@)")
KNOWN = re.compile(
    r"""(?x)
    \b(?:AKIA|ASIA|AIDA|AROA|AGPA|ANPA)[A-Z0-9]{12,}\b
    | \beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*
    | \b(?:gh[pousr]_|github_pat_|glpat-|xox[abposr]-|sk-|pypi-|hf_)[\w-]{16,}
    """
)
"""Keys that are known by how they begin: AWS's, JSON Web Tokens, and those of some services."""
LIKELY = re.compile(
    r"(?<![\w/+=-])(?=[^\s]*[a-z])(?=[^\s]*[A-Z])(?=[^\s]*[0-9])(?:[A-Za-z0-9/+]{40}|[A-Za-z0-9/+_=-]{100,})(?![\w/+=-])"
)
"""What has the form of AWS's secret keys and session tokens. Hashes in hex have no capitals."""
STRUCK_OUT = "[struck out]"


def redact(text: str) -> str:
    """Return the text with each secret replaced."""
    text = PEM.sub(STRUCK_OUT, text)
    text = IN_URL.sub(_keep_name, text)
    text = KNOWN.sub(STRUCK_OUT, text)
    text = NAMED.sub(_keep_name, text)
    return LIKELY.sub(STRUCK_OUT, text)


def _keep_name(match: re.Match[str]) -> str:
    return f"{match['name']}{STRUCK_OUT}"
