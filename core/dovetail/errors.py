"""Everything dovetail raises.

::

    DovetailError
    ├── StartError                 the kernel could not start; holds every problem and failure
    │   └── ConfigError            only the config is at fault
    │       └── ConfigNotFound     there is no config file
    ├── KernelClosed               the kernel is not open, or not any more
    ├── KernelBusy                 too many turns are in flight
    ├── PluginError                a plugin does not keep the contract
    │   └── NotReady               raised by `start()`: not now, perhaps later
    ├── ValidationFailed           values do not fit their model; holds every problem
    ├── ServiceError               a service cannot be used as asked
    │   ├── DuplicateService       its name is taken (a ValueError too)
    │   └── ServiceNotFound        there is none of this name (a KeyError too)
    ├── DependencyError            a dependency cannot be registered, had or cleaned up
    │   └── DependencyResolutionError     it cannot be had; tells the chain that asked
    │       ├── DependencyNotFound        nothing provides it (a KeyError too)
    │       ├── DependencyCycle           it needs itself
    │       ├── CaptiveDependency         it would outlive what it needs
    │       ├── ContextRequired           it belongs to a context, and there is none
    │       └── AsyncDependency           it has to be awaited
    ├── StageError                 a stage of a turn failed, and what failed is required
    ├── SessionError
    │   ├── SessionBusy            another turn holds the session
    │   ├── SessionConflict        somebody else changed its state meanwhile
    │   ├── SessionCorrupt         what its store has of it cannot be understood
    │   └── SessionForbidden       it belongs to another user
    ├── EventError                 an event, or who is to handle it, is not as it must be
    │   ├── BusClosed              the event bus does not run
    │   └── BusFull                an event found no room in the bus in time
    └── ProviderError              a model call failed
        ├── AuthenticationError
        ├── RateLimited
        ├── InvalidRequest
        │   ├── ContextTooLong
        │   ├── ContentFiltered
        │   └── ModelNotFound
        ├── ProviderUnavailable
        │   └── ProviderTimeout
        ├── StreamInterrupted
        └── InvalidResponse

A message says what is wrong, where, why and what to do, and never holds a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dovetail.problem import Problem as Problem  # noqa: PLC0414, TC001 - it is had from here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, ClassVar

    from dovetail.chat.responses import ChatResponse
    from dovetail.host.records import Failure
    from dovetail.pipeline.stage import Stage


_MOST_SHOWN = 20
"""How many problems of values are told, and names of a chain of dependencies."""


class DovetailError(Exception):
    """The root of all errors that dovetail raises."""


class StartError(DovetailError):
    """The kernel could not start, or refused a reload; all the reasons at once.

    `problems` are mistakes in the config, `failures` are plugins that broke.
    """

    def __init__(self, problems: Sequence[Problem] = (), failures: Sequence[Failure] = ()) -> None:
        self.problems = tuple(problems)
        self.failures = tuple(failures)
        super().__init__(self._text())

    def _text(self) -> str:
        causes = [failure for failure in self.failures if not failure.follows]
        items = [str(item) for item in (*self.problems, *(causes or self.failures))]
        text = items[0] if items else ""
        if len(items) > 1:
            text = f"{len(items)} things are wrong:\n" + "\n".join(f"  • {item}" for item in items)
        without = len(self.failures) - len(causes)
        if causes and without:
            parts = "1 part that needs" if without == 1 else f"{without} parts that need"
            text += f"\n    ({parts} it did not start either)"
        return text


class ConfigError(StartError):
    """The config is wrong; `problems` holds every mistake found."""


class ConfigNotFound(ConfigError):
    """There is no config file where one was looked for."""


class KernelClosed(DovetailError):
    """The kernel was used before it was opened or after it was closed."""


class KernelBusy(DovetailError):
    """As many turns are in flight as `max_turns` of `[kernel]` allows."""


class PluginError(DovetailError):
    """A plugin does not keep the contract of `hookspecs.py`."""


class NotReady(PluginError):
    """Raised by a component's `start()` when what it needs is not there yet.

    An optional component that says so is tried again in the background.
    """


class ValidationFailed(DovetailError):
    """Values do not fit the model of this name; `problems` holds all that is wrong with them.

    The text has the first 20.
    """

    def __init__(self, model: str, problems: Sequence[Problem]) -> None:
        self.model = model
        self.problems = tuple(problems)
        items = [f"\n  • {problem}" for problem in self.problems[:_MOST_SHOWN]]
        more = len(self.problems) - len(items)
        items += [f"\n  • and {more} more"] if more else []
        super().__init__(f"the values do not fit `{model}`:{''.join(items)}")

    def __reduce__(self) -> tuple[type[ValidationFailed], tuple[str, tuple[Problem, ...]]]:
        """Copied and pickled by what it was made of, and not by its text."""
        return ValidationFailed, (self.model, self.problems)


class ServiceError(DovetailError):
    """A service cannot be used as asked."""


class DuplicateService(ServiceError, ValueError):
    """A service of this name is registered already."""


class ServiceNotFound(ServiceError, KeyError):
    """No service of this name is registered."""

    __str__ = Exception.__str__  # a KeyError would show its message in quotes


class DependencyError(DovetailError):
    """A dependency cannot be registered, had or cleaned up."""


class DependencyResolutionError(DependencyError):
    """A dependency cannot be had.

    `chain` is who asked for whom, the outermost first and what failed last; `original_exception` is
    what a factory or a provider raised, if one did, and the cause too.
    """

    def __init__(
        self,
        message: str,
        *,
        chain: Sequence[str] = (),
        original_exception: Exception | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.chain = tuple(chain)
        self.original_exception = original_exception

    def asked_by(self, name: str) -> None:
        """Note who asked for what failed."""
        self.chain = (name, *self.chain)

    def __str__(self) -> str:
        """The message, and the chain that asked; of a long one the beginning and the end."""
        if len(self.chain) < 2:
            return self.message
        names = list(self.chain)
        if len(names) > _MOST_SHOWN:
            names[_MOST_SHOWN // 2 : -(_MOST_SHOWN // 2)] = ["…"]
        return f"{self.message} (asked for by {' → '.join(names)})"


class DependencyNotFound(DependencyResolutionError, KeyError):
    """Nothing provides it."""


class DependencyCycle(DependencyResolutionError):
    """It needs itself; the message shows the path that closes the cycle."""


class CaptiveDependency(DependencyResolutionError):
    """It would be kept longer than something it needs may live."""


class ContextRequired(DependencyResolutionError):
    """It belongs to a context, and there is none."""


class AsyncDependency(DependencyResolutionError):
    """It has to be awaited, and was asked for in a synchronous way."""


class StageError(DovetailError):
    """A stage of a turn failed, and what failed in it is required.

    `stage` is which. `response` is the answer, if it was given before.
    """

    response: ChatResponse | None = None

    def __init__(self, message: str, *, stage: Stage | None = None) -> None:
        super().__init__(message)
        self.stage = stage


class SessionError(DovetailError):
    """A session cannot be used as asked.

    `response` is the answer, if it was given and could not be kept.
    """

    response: ChatResponse | None = None


class SessionBusy(SessionError):
    """Too many turns wait for this session, or one waited too long."""


class SessionConflict(SessionError):
    """The session's state was changed by somebody else since it was read."""


class SessionCorrupt(SessionError):
    """What a store has of a session cannot be understood; nothing of it was changed.

    `user_id` is whose it is, so that its owner may still remove it.
    """

    def __init__(self, message: str, *, user_id: str | None = None) -> None:
        super().__init__(message)
        self.user_id = user_id


class SessionForbidden(SessionError):
    """The session belongs to another user."""


class EventError(DovetailError):
    """An event, or who is to handle it, is not as it must be."""


class BusClosed(EventError):
    """The event bus was used before it was started or after it was stopped."""


class BusFull(EventError):
    """A group of consumers is so far behind that an event found no room in time."""


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """What is known of a failed model call."""

    status: int | None = None
    """The HTTP status, where there was one."""
    provider: str = ""
    """The provider's instance name in the config."""
    model: str = ""
    """The model as it was asked for."""
    request_id: str = ""
    """The id that the other side gave the request, else ours."""
    retry_after: float | None = None
    """Seconds after which the other side says to try again."""
    nearest: tuple[str, ...] = ()
    """Names near the one that was not found."""
    may_retry: bool = False
    """Whether the same request may succeed if it is sent again."""


class ProviderError(DovetailError):
    """A model call failed. `details` is frozen; the cause is in `__cause__`.

    `response` is what had come of the answer, if anything had.
    """

    response: ChatResponse | None = None
    passing: ClassVar[bool] = False
    """Whether errors of this class may pass, so that `details.may_retry` is true unless said."""
    retell: Callable[[Callable[[bytes], bytes]], str] | None = None
    """Says the message again, of the server's words as the function given leaves them. There while
    the message repeats words that may hold a key which was sent."""

    def __init__(  # noqa: PLR0913 - each is one known detail, all optional
        self,
        message: str,
        *,
        status: int | None = None,
        provider: str = "",
        model: str = "",
        request_id: str = "",
        retry_after: float | None = None,
        nearest: Sequence[str] = (),
        may_retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: dict[str, Any] = {}
        """What middleware noted, such as the attempts that were made."""
        if may_retry is None:
            may_retry = self.passing
        self._details = ErrorDetails(
            status, provider, model, request_id, retry_after, tuple(nearest), may_retry
        )

    @property
    def details(self) -> ErrorDetails:
        """What is known of the call."""
        return self._details

    def complete(
        self,
        *,
        provider: str = "",
        model: str = "",
        request_id: str = "",
        nearest: Sequence[str] = (),
    ) -> None:
        """Fill in details the raiser did not know; what is there stays."""
        known = self._details
        self._details = replace(
            known,
            provider=known.provider or provider,
            model=known.model or model,
            request_id=known.request_id or request_id,
            nearest=known.nearest or tuple(nearest),
        )

    def __str__(self) -> str:
        """The message, with the instance it came from in front and near names behind."""
        text = self.message
        if self._details.provider:
            text = f"{self._details.provider}: {text}"
        if self._details.nearest:
            text += "; did you mean " + " or ".join(f"`{n}`" for n in self._details.nearest) + "?"
        return text


class AuthenticationError(ProviderError):
    """The key is missing, wrong or not allowed to do this."""


class RateLimited(ProviderError):
    """Too many requests or tokens; see `details.retry_after`."""

    passing = True


class InvalidRequest(ProviderError):
    """The request can never succeed as it is."""


class ContextTooLong(InvalidRequest):
    """The messages do not fit the model's context window."""


class ContentFiltered(InvalidRequest):
    """The provider refused the content."""


class ModelNotFound(InvalidRequest):
    """No such provider instance or model."""


class ProviderUnavailable(ProviderError):
    """The provider cannot be reached or cannot answer now."""

    passing = True


class ProviderTimeout(ProviderUnavailable):
    """The provider took longer than its limit."""


class StreamInterrupted(ProviderError):
    """The answer ended before it was complete."""

    passing = True


class InvalidResponse(ProviderError):
    """The provider's answer cannot be understood."""
