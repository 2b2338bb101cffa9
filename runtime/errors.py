"""Everything that can go wrong, as one tree.

    LlamaletError
    ├── InvalidRequest        what the caller sent cannot be answered as it stands
    │   ├── ContextTooLong    prompt and max_tokens do not fit the context together
    │   ├── Unsupported       an option we know and cannot honour
    │   │   ├── UnsupportedSchema  a JSON Schema that no grammar of ours enforces
    │   │   └── NoJsonStream  JSON and stream together, which the service does not have
    │   ├── NoBody            an HTTP request without a body
    │   └── TooLarge          a body over the limit
    ├── GatewayError          an HTTP request that does not get as far as a model
    │   ├── NoRoute           no such address, or no such model in it
    │   ├── WrongMethod       the address is right, the method is not
    │   ├── BadAccount        an account id that cannot be one
    │   ├── NoToken           a token is needed, and there is none
    │   ├── BadHeader         a header that cannot be read
    │   │   └── HeadTooLarge  more headers, or longer ones, than are taken
    │   ├── WrongToken        not the token that was set
    │   └── Forbidden         from a host or a page that is not allowed here
    ├── NotFound
    │   ├── UnknownModel      no such model in the catalogue
    │   └── UnknownAdapter    no such LoRA adapter for this model
    ├── ModelUnavailable
    │   ├── ModelMissing      in the catalogue, but its file is not on this machine
    │   ├── ModelBroken       the file is there and is not what it should be
    │   ├── ModelUnsupported  a whole GGUF file of a kind that this runtime does not run
    │   ├── DownloadFailed    the file could not be fetched; what came of it is kept
    │   │   ├── ModelForbidden  its repository is gated, private, or not there
    │   │   └── DiskFull      the file does not fit on the disk
    │   └── DoesNotFit        there is not enough memory for it
    ├── NotServed
    │   ├── EngineRestarting  the engine died a moment ago, and waits before it starts again
    │   ├── QueueFull         too many requests wait already
    │   ├── TimedOut          the request's own time limit has passed
    │   │   └── TooSlow       its body did not come in time, or its answer was not read
    │   ├── NoServer          nothing answers at the address of a server
    │   ├── DocumentRefused   no answer was valid, where not all could be enforced
    │   └── Cancelled         its caller took the request back
    ├── ConfigError           a setting or a configuration file is wrong
    └── EngineError           the engine failed, which is our fault
        ├── EngineDied        its process ended by itself
        └── EngineClosed      it was shut down while the request was in it

Each class has Workers AI's code and HTTP status (developers.cloudflare.com/workers-ai/platform/errors, and what the
service was seen to send), and the command line's exit code. Each can be pickled, and so cross to another process.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

NOT_MET: Final = "JSON Model couldn't be met"


class LlamaletError(Exception):
    """What every error of this package is.

    `message` says what was wrong, with the numbers; `hint`, when given, says what to do or type next. `facts` are names
    and numbers of it, for who words it otherwise (`runtime.wire.wording`).
    """

    code: ClassVar[int] = 5000  # ours: the service publishes no code for a plain failure
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 70  # EX_SOFTWARE of sysexits.h, as are the others where they fit

    def __init__(self, message: str, hint: str | None = None, **facts: Any) -> None:
        super().__init__(message, hint)
        self.message, self.hint, self.facts = message, hint, facts

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class InvalidRequest(LlamaletError):
    """What the caller sent cannot be answered as it stands."""

    code, status, exit_code = 5006, 400, 65  # EX_DATAERR


class ContextTooLong(InvalidRequest):
    """Prompt and `max_tokens` do not fit the context together."""

    code, status, exit_code = 5021, 413, 65


class Unsupported(InvalidRequest):
    """An option that we know, and that cannot be honoured."""


class UnsupportedSchema(Unsupported):
    """A JSON Schema that cannot be enforced as it stands.

    `pointer`: the JSON pointer of the schema in question, "" for all; `keyword`: the one in it, "" for no single one.
    """

    def __init__(self, message: str, hint: str | None = None, *, pointer: str = "", keyword: str = "") -> None:
        super().__init__(message, hint)
        self.pointer, self.keyword = pointer, keyword


class NoJsonStream(Unsupported):
    """JSON mode with `stream`, which Workers AI refuses; here only where it has to be as it is there (parity)."""

    code = 5023


class NoBody(InvalidRequest):
    """An HTTP request without a body."""

    code = 3003


class TooLarge(InvalidRequest):
    """A body over the limit."""

    code, status = 3006, 413


class GatewayError(LlamaletError):
    """An HTTP request that does not get as far as a model. Cloudflare's gateway answers these, not Workers AI."""

    code, status, exit_code = 7000, 400, 65

    def __str__(self) -> str:  # their messages are no sentences
        return f"{self.message} ({self.hint})" if self.hint else self.message


class NoRoute(GatewayError):
    """No such address, or no such model in it."""


class WrongMethod(GatewayError):
    """The address is right, the method is not."""

    code, status = 7001, 405


class BadAccount(GatewayError):
    """An account id that cannot be one."""

    code, status = 7003, 404


class NoToken(GatewayError):
    """A token is needed, and there is none."""

    code, status = 9106, 400


class BadHeader(GatewayError):
    """A header that cannot be read."""

    code, status = 6003, 400


class HeadTooLarge(BadHeader):
    """More headers, or longer ones, than are taken."""

    status = 431


class WrongToken(GatewayError):
    """Not the token that was set."""

    code, status = 10000, 401


class Forbidden(GatewayError):
    """From a host or a page that is not allowed here."""

    code, status = 9109, 403


class NotFound(LlamaletError):
    """A name that the catalogue does not hold."""

    code, status, exit_code = 5007, 400, 67  # EX_NOUSER, the nearest: the name is not known


class UnknownModel(NotFound):
    """No such model in the catalogue."""


class UnknownAdapter(NotFound):
    """No such LoRA adapter for this model."""

    code, status, exit_code = 5005, 405, 67


class ModelUnavailable(LlamaletError):
    """The catalogue has the model, this machine cannot run it now."""

    code, status, exit_code = 5000, 503, 66  # EX_NOINPUT


class ModelMissing(ModelUnavailable):
    """The model's file is not on this machine."""


class ModelBroken(ModelUnavailable):
    """The model's file is not what it should be: cut short, damaged, or no GGUF at all."""


class ModelUnsupported(ModelUnavailable):
    """A whole GGUF file of an architecture or tokenizer that this runtime does not run."""


class DownloadFailed(ModelUnavailable):
    """The model's file could not be fetched. What came of it is kept, and the next pull goes on from there."""

    exit_code = 69  # EX_UNAVAILABLE


class ModelForbidden(DownloadFailed):
    """The model's repository is gated or private, or there is none; the hub does not say which."""

    exit_code = 77  # EX_NOPERM


class DiskFull(DownloadFailed):
    """The file does not fit on the disk."""

    exit_code = 74  # EX_IOERR


class DoesNotFit(ModelUnavailable):
    """There is not enough memory for the model; the hint has the nearest that fits.

    The service's own word for want of room is "Capacity temporarily exceeded", 3040.
    """

    code, status, exit_code = 3040, 429, 69  # EX_UNAVAILABLE


class NotServed(LlamaletError):
    """A good request that was not answered to its end."""

    code, status, exit_code = 3040, 429, 75  # EX_TEMPFAIL


class EngineRestarting(NotServed):
    """The model's engine has died too often of late to be started again now; `seconds` of its facts says when."""

    code, status = 5000, 503


class QueueFull(NotServed):
    """Too many requests wait already; the same request may be answered later."""


class TimedOut(NotServed):
    """The request's own time limit has passed."""

    code, status, exit_code = 3007, 408, 75


class TooSlow(TimedOut):
    """A request's body did not come in time, or its answer was not read."""


class NoServer(NotServed):
    """Nothing that answers as llamalet does is at the address of a server."""

    exit_code = 69  # EX_UNAVAILABLE


class DocumentRefused(NotServed):
    """A JSON document came, and is not valid: something was asked for that no grammar enforces."""

    code, status, exit_code = 5024, 400, 65

    def __init__(self, message: str, hint: str | None = None) -> None:
        # It begins with the service's words, for clients that look for them.
        super().__init__(message if message.startswith(NOT_MET) else f"{NOT_MET}: {message}", hint)


class Cancelled(NotServed):
    """The request was taken back by its caller."""

    code, status, exit_code = 3008, 408, 130  # 128 + SIGINT, what a shell reports after Ctrl-C


class ConfigError(LlamaletError):
    """A setting or a configuration file is wrong; the message names the file, the line and the key."""

    exit_code = 78  # EX_CONFIG


class EngineError(LlamaletError):
    """The engine failed."""


class EngineDied(EngineError):
    """The engine's process ended by itself. `by` of its facts is the signal's name, "exit N" or "watchdog"."""


class EngineClosed(EngineError):
    """The engine was shut down while, or before, the request was in it."""

    status = 503
