"""What the heads are called in options and files. Without torch: `--help` names them."""

DEFAULT_HEAD = "dsanet"  # of files that name none: they are older than the others
HEAD_NAMES = (DEFAULT_HEAD, "vadclip", "mil")
"""Those that come with this package."""
OWN = "own"  # a head in a file of the user's
