"""How many examples a test tries: those of every change, or in a long run as many as FUZZ_EXAMPLES says.

    FUZZ_EXAMPLES=100000 python -m pytest --log-cli-level=INFO tests/test_schemas_in_volume.py

In the suite they are the same each time, in a long run others. FUZZ_FIRST repeats one: a failure names its number.
What was found is logged.
"""

from __future__ import annotations

import logging
import os
import secrets
from typing import Any

ASKED = os.environ.get("FUZZ_EXAMPLES")
_FIRST = int(os.environ.get("FUZZ_FIRST") or (0 if ASKED is None else secrets.randbits(40)))


def examples(usual: int) -> int:
    """For hypothesis."""
    return usual if ASKED is None else int(ASKED)


def seeds(usual: int) -> range:
    """A number for each example, from which it is made."""
    return range(_FIRST, _FIRST + examples(usual))


def tell(**found: Any) -> None:
    """Log the numbers of a long run."""
    logging.getLogger("tests").info("%s", found)
