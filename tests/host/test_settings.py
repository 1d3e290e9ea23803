"""Settings are checked before anything is made; all mistakes are told at once, and no secret."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import Field, SecretStr, field_validator

from dovetail import ConfigError, FailureStage, Kernel, Settings
from tests.support.plugins import Echo, kernel_with, only_failure, plugin, refusal

HIDDEN = "hunter2-and-more"


class Limits(Settings):
    attempts: int = Field(3, ge=1, description="How often to try.")
    pin: SecretStr = SecretStr("")


class Limited(Echo):
    settings: Limits
    made = 0

    def __init__(self) -> None:
        type(self).made += 1


@pytest.fixture
def kernel_for(tmp_path: Path) -> Callable[..., Kernel]:
    """A kernel with this config file and one component as the plugin `p`."""

    def make(text: str, component: type[Echo] = Limited) -> Kernel:
        file = tmp_path / "dovetail.toml"
        file.write_text(text, encoding="utf-8")
        return kernel_with(file, p=plugin(providers=[component]))

    return make


async def test_mistakes_in_all_tables_are_told_at_once_each_with_its_line(
    kernel_for: Callable[..., Kernel],
) -> None:
    before = Limited.made
    error = await refusal(
        kernel_for(
            """
            [chat]
            modle = "p"

            [kernel]
            start_timeout = "soon"

            [providers.p]
            attempts = 0

            [providers.q]
            use = "p"
            atempts = 2

            [providrs.r]
            """
        )
    )
    assert isinstance(error, ConfigError)
    places = [problem.where.rpartition("/")[2] for problem in error.problems]
    assert sorted(places) == [
        "dovetail.toml:13 [providers.q] atempts",
        "dovetail.toml:15 [providrs]",
        "dovetail.toml:3 [chat] modle",
        "dovetail.toml:6 [kernel] start_timeout",
        "dovetail.toml:9 [providers.p] attempts",
    ]
    assert "did you mean `attempts`?" in str(error)
    assert "did you mean `model`?" in str(error)
    assert "How often to try." in str(error)
    assert Limited.made == before


async def test_broken_plugins_and_mistakes_in_the_config_are_told_together(
    kernel_for: Callable[..., Kernel],
) -> None:
    error = await refusal(kernel_for("[providers.p]\nattempts = 0\n[providers.absent]\n"))
    assert not isinstance(error, ConfigError)
    assert [problem.where.split()[-1] for problem in error.problems] == ["attempts"]
    assert [failure.plugin_id for failure in error.failures] == ["absent"]
    assert "2 things are wrong" in str(error)


async def test_a_component_without_settings_takes_no_keys(
    kernel_for: Callable[..., Kernel],
) -> None:
    error = await refusal(kernel_for("[providers.p]\nprefix = 1\n", Echo))
    (problem,) = error.problems
    assert problem.message == "`p` takes no settings"
    assert problem.where.endswith("dovetail.toml:2 [providers.p] prefix")


async def test_keys_that_components_would_share_must_be_the_plugins(
    kernel_for: Callable[..., Kernel],
) -> None:
    error = await refusal(kernel_for("[plugins.p]\nurl = 1\nsize = 2\n"))
    assert [problem.where.split()[-1] for problem in error.problems] == ["url", "size"]


def validator_that(act: Callable[[str], object]) -> type[Echo]:
    class Odd(Settings):
        text: str = "x"
        pin: SecretStr = SecretStr("")

        @field_validator("text")
        @classmethod
        def look(cls, value: str) -> str:
            act(value)
            return value

    class Odder(Echo):
        settings: Odd

    return Odder


class Unprintable(Exception):
    def __str__(self) -> str:
        raise OSError


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (RuntimeError("no colour"), "RuntimeError: no colour"),
        (TimeoutError("no answer"), "TimeoutError: no answer"),
        (SystemExit(2), "SystemExit"),
        (Unprintable(), "Unprintable"),
    ],
)
async def test_whatever_a_validator_raises_is_a_failure_of_that_table(
    kernel_for: Callable[..., Kernel], raised: BaseException, said: str
) -> None:
    def act(value: str) -> None:
        raise raised

    failure = await only_failure(kernel_for("[providers.p]\ntext = 'y'\n", validator_that(act)))
    assert failure.stage is FailureStage.VALIDATE
    assert "[providers.p]" in failure.component
    assert said in str(failure)
    assert "dovetail plugins show p" in failure.hint


async def test_a_validator_that_hangs_ends_at_the_limit(
    kernel_for: Callable[..., Kernel],
) -> None:
    gate = threading.Event()
    text = "[kernel]\nimport_timeout = 0.05\n[providers.p]\ntext = 'y'\n"
    failure = await only_failure(kernel_for(text, validator_that(lambda _: gate.wait())))
    gate.set()
    assert failure.stage is FailureStage.VALIDATE
    assert "validating its settings took longer than 0.05 s" in str(failure)


async def test_no_message_holds_a_secret_though_the_plugin_says_it(
    kernel_for: Callable[..., Kernel],
) -> None:
    def act(value: str) -> None:
        message = f"cannot log in with {HIDDEN}"
        raise RuntimeError(message)

    class Telling(Limited):
        async def start(self) -> None:
            act(self.settings.pin.get_secret_value())

    table = f"[providers.p]\npin = '{HIDDEN}'\n"
    for keys, component in (
        ("text = 'y'", validator_that(act)),
        ("", Telling),
        ("attempts = 0", Limited),
        (f"api_key = '{HIDDEN}'", Limited),
        (f"attempts = ['{HIDDEN}']", Limited),
    ):
        error = await refusal(kernel_for(table + keys, component))
        assert HIDDEN not in str(error)
        assert HIDDEN not in repr(error.problems)
        async with kernel_for(f"{table}optional = true\n{keys}", component) as kernel:
            assert HIDDEN not in str(kernel.quarantined[0])


async def test_a_settings_model_may_not_declare_the_hosts_own_words(
    kernel_for: Callable[..., Kernel],
) -> None:
    class Greedy(Settings):
        choice: str = Field("", alias="use")

    class Grabbing(Echo):
        settings: Greedy

    failure = await only_failure(kernel_for("[providers.p]\n", Grabbing))
    assert failure.stage is FailureStage.REGISTER
    assert "`Grabbing.settings` declares `use`" in str(failure)
