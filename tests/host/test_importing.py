"""A plugin that cannot be imported is one clear failure, whatever it does at import."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail import FailureStage, Kernel
from tests.support.plugins import only_failure, refusal

if TYPE_CHECKING:
    from tests.support.distributions import Distributions


def kernel_for(*plugin_ids: str) -> Kernel:
    return Kernel.open({"providers": {plugin_id: {} for plugin_id in plugin_ids}}, env={})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("raise SystemExit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise StopIteration", "StopIteration"),
        ("import asyncio; raise asyncio.CancelledError", "CancelledError"),
        ("raise TimeoutError('the licence server is slow')", "the licence server is slow"),
        ("def (", "SyntaxError"),
        ("class E(Exception):\n  def __str__(self): raise OSError\nraise E", "failed at import: E"),
        (None, "No module named 'dovetail_bad'"),
    ],
)
async def test_what_a_module_does_at_import_is_told_with_all_that_is_known_of_it(
    installed: Distributions, source: str | None, said: str
) -> None:
    installed.add("bad", source, version="1.2")
    failure = await only_failure(kernel_for("bad"))
    assert failure.stage is FailureStage.IMPORT
    assert (failure.plugin_id, failure.distribution, failure.version) == (
        "bad",
        "dovetail-bad",
        "1.2",
    )
    assert "[providers.bad]" in failure.component
    assert said in str(failure)
    assert failure.hint


async def test_a_missing_dependency_is_named_with_the_distribution_to_reinstall(
    installed: Distributions,
) -> None:
    installed.add("needy", "import a_library_nobody_has")
    failure = await only_failure(kernel_for("needy"))
    assert "`a_library_nobody_has` is missing" in failure.hint
    assert "reinstall `dovetail-needy`" in failure.hint


async def test_an_entry_point_to_an_attribute_that_is_missing(installed: Distributions) -> None:
    installed.add("gone", "", entry_points="[dovetail.v1]\ngone = dovetail_gone:Plugin\n")
    failure = await only_failure(kernel_for("gone"))
    assert failure.stage is FailureStage.IMPORT
    assert "Plugin" in str(failure.cause)


async def test_all_plugins_that_fail_are_told_at_once_each_once(installed: Distributions) -> None:
    installed.add("one", "raise RuntimeError('first')")
    installed.add("two", "raise RuntimeError('second')")
    config = {
        "providers": {"one": {}, "two": {}, "again": {"use": "one"}, "three": {}},
        "middleware": [{"use": "one"}],
    }
    error = await refusal(Kernel.open(config, env={}))
    assert [failure.plugin_id for failure in error.failures] == ["one", "two", "three"]
    assert str(error).startswith("3 things are wrong:")
    assert "first" in str(error)
    assert "second" in str(error)


def test_an_import_that_hangs_ends_at_its_limit_and_the_process_can_exit(
    installed: Distributions,
) -> None:
    installed.add("hangs", "import threading\nthreading.Event().wait()")
    done = installed.run(
        """
        import asyncio
        from dovetail import Kernel, StartError

        config = {"kernel": {"import_timeout": "0.2s"}, "providers": {"hangs": {}}}

        async def main():
            try:
                await Kernel.open(config, env={}).start()
            except StartError as error:
                print(error.failures[0].stage, error)

        asyncio.run(main())
        """,
        timeout=20,
    )
    assert done.stdout.startswith("import plugin `hangs`")
    assert "took longer than 0.2 s" in done.stdout
    assert "import_timeout" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


async def test_a_plugin_that_is_mended_is_taken_in_by_a_reload(installed: Distributions) -> None:
    switch = installed.folder / "switch"
    installed.add(
        "late",
        f"""
        import pathlib
        from dovetail import hookimpl
        from tests.support.plugins import Echo

        if not pathlib.Path({str(switch)!r}).exists():
            raise RuntimeError("not yet")

        @hookimpl
        def providers():
            return [Echo]
        """,
    )
    config = {"providers": {"late": {"optional": True}}}
    async with Kernel.open(config, env={}) as kernel:
        assert "not yet" in str(kernel.quarantined[0])
        switch.touch()
        assert (await kernel.reload()).started == ("[providers.late]",)
        assert (await kernel.chat("hello")).text == "hello"
        assert kernel.quarantined == ()
