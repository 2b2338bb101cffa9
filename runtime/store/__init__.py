"""The models' files: fetched, checked, found and removed.

They lie in the cache of the Hugging Face hub (`HF_HOME`), which other programs share, so that a file is there once.
Only `pull` opens a connection, and only when the file is not here.
"""

from runtime.store.additions import add
from runtime.store.delivery import pull
from runtime.store.files import Held, available, held, locate, present, remove, verify
from runtime.store.hub import cache, is_offline
from runtime.store.hub import problem as hub_problem
from runtime.store.progress import Progress, Pulled
from runtime.store.records import use

__all__ = [
    "Held",
    "Progress",
    "Pulled",
    "add",
    "available",
    "cache",
    "held",
    "hub_problem",
    "is_offline",
    "locate",
    "present",
    "pull",
    "remove",
    "use",
    "verify",
]
