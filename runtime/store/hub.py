"""What the Hugging Face hub knows: addresses, tokens, revisions, and why it refuses. Only this imports its package.

The hub's own variables hold: HF_HOME and HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, and the proxies' ones.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import DownloadFailed, ModelForbidden

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx2

LATER = (408, 425, 429, 500, 502, 503, 504)  # statuses of servers that may answer the same request later
TIMEOUT = 30.0  # seconds without a byte after which a connection counts as broken
_ADDRESS = re.compile(
    r"hf:(?P<repo>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[\w.-]+))?/(?P<file>[\w.+-]+(?:/[\w.+-]+)*)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where bytes can be had. repo, revision and file are empty for a server that is no hub."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # a token may be among them
    repo: str = ""
    revision: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the hub says of a file: bytes, the commit that the revision means, ETag (its sha256 for a large file)."""

    size: int
    commit: str
    etag: str

    @property
    def sha256(self) -> str | None:
        return self.etag if re.fullmatch("[0-9a-f]{64}", self.etag) else None


class Busy(Exception):
    """The server may answer later: after so many seconds, where it said that."""

    def __init__(self, status: int, seconds: float | None) -> None:
        super().__init__(f"the server answers {status}")
        self.seconds = seconds


def cache() -> Path:
    """The folder of the hub's cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE is set."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def problem(*, seconds: float) -> str | None:
    """Why the hub cannot be reached within that time; None where it can. With HF_HUB_OFFLINE nobody is asked."""
    from huggingface_hub import get_session

    if is_offline():
        return "HF_HUB_OFFLINE is set"
    try:
        get_session().head(_endpoint(), timeout=seconds)
    except Exception as error:  # of whichever HTTP client this release of the hub's library has
        return f"{_endpoint()}: {error}"
    return None


def find(cache: Path | None, repo: str, revision: str, file: str) -> Path | None:
    """The file in the cache, whole or not."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, file, cache_dir=cache, revision=revision)
    return Path(found) if isinstance(found, str) else None  # else None, or a mark that the hub has no such file


def parse(text: str) -> tuple[str, str, str] | None:
    """repo, revision and file of `hf:owner/repo/file` or `hf:owner/repo@revision/file`; None for anything else."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    found = _ADDRESS.fullmatch(text)
    if not found or ".." in text:
        return None
    try:
        validate_repo_id(found["repo"])
    except HFValidationError:
        return None
    return found["repo"], found["revision"] or "main", found["file"]


def address(repo: str, revision: str, file: str) -> Address:
    """Of a file in a repository, with the user's token where there is one."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    url = hf_hub_url(repo, file, revision=revision)
    return Address(url, build_hf_headers(library_name="llamalet"), repo, revision, file)


def mirror(text: str) -> Address:
    """Of a mirror as the catalogue has it: `hf:...` or a URL, which gets no token."""
    found = parse(text)
    return address(*found) if found else Address(text)


def session() -> httpx2.Client:
    """The hub's own client, with whatever an application has set for it."""
    from huggingface_hub import get_session

    return get_session()


def facts(address: Address) -> Facts:
    """Ask the hub. Raises Busy, what httpx raises for a connection, DownloadFailed and ModelForbidden."""
    from huggingface_hub import get_hf_file_metadata
    from huggingface_hub.errors import HfHubHTTPError

    try:
        found = get_hf_file_metadata(address.url, headers=dict(address.headers), timeout=TIMEOUT)
    except HfHubHTTPError as wrong:
        raise refusal(wrong.response, address) from wrong
    # Commit and ETag become names in the cache.
    commit, etag = found.commit_hash or "", found.etag or ""
    if not (found.size and re.fullmatch("[0-9a-f]{40}", commit) and re.fullmatch(r"[\w-]{1,128}", etag, re.ASCII)):
        problem = f"{address.url} does not say size, commit and ETag of the file, as the hub does"
        raise DownloadFailed(f"{problem}.", "Correct HF_ENDPOINT, or unset it.")
    return Facts(found.size, commit, etag)


def refusal(response: httpx2.Response, address: Address) -> Exception:
    """What an error response means: Busy, or the error to tell the user."""
    status, reason = response.status_code, response.headers.get("X-Error-Code", "")
    if status in LATER:
        return Busy(status, _seconds(response))
    if not address.repo:
        return DownloadFailed(f"{address.url} answers {status}.", "Correct this mirror in the models file.")
    page = f"{_endpoint()}/{address.repo}"
    signed_in = "authorization" in {name.lower() for name in address.headers}
    login = "" if signed_in else "run `hf auth login` or set HF_TOKEN"
    if reason == "GatedRepo":
        steps = " and ".join(filter(None, (f"accept its terms at {page}", login)))
        hint = f"{steps[0].upper()}{steps[1:]}, then pull again."
        return ModelForbidden(f"{address.repo} is gated ({status}).", hint)
    if status in (401, 403) or reason == "RepoNotFound":
        who = "for this token" if signed_in else "without a token"
        hint = f"Check the name at {page}; if it is private, {login or 'take a token that may read it'}."
        return ModelForbidden(f"The hub has no repository {address.repo} {who} ({status}).", hint)
    if reason == "RevisionNotFound":
        return DownloadFailed(f"{address.repo} has no revision {address.revision}.", f"See {page}/commits.")
    if status in (404, 410):
        return DownloadFailed(f"{address.repo} has no file {address.file}.", f"See {page}/tree/{address.revision}.")
    return DownloadFailed(f"{address.url} answers {status}.", "Try again later.")


def _endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT


def _seconds(response: httpx2.Response) -> float | None:
    """What Retry-After says, or else the hub's own header of limits."""
    from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

    with contextlib.suppress(ValueError):
        return max(0.0, float(response.headers.get("Retry-After", "")))
    limits = parse_ratelimit_headers(response.headers)
    return float(limits.reset_in_seconds) if limits else None
