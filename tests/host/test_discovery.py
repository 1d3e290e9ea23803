"""What is installed is found without being imported, and only what config names is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail import FailureStage, Kernel
from tests.support.distributions import ECHO
from tests.support.plugins import Echo, only_failure, plugin, refusal

if TYPE_CHECKING:
    from tests.support.distributions import Distributions


def kernel_for(*plugin_ids: str) -> Kernel:
    return Kernel.open({"providers": {plugin_id: {} for plugin_id in plugin_ids}}, env={})


async def test_a_plugin_that_config_names_is_there(installed: Distributions) -> None:
    installed.add("echo", ECHO)
    async with kernel_for("echo") as kernel:
        assert (await kernel.chat("hello")).text == "hello"


def test_plugins_that_config_does_not_name_are_never_imported(installed: Distributions) -> None:
    for plugin_id, body in {
        "writes": "pass",
        "raises": "raise SystemExit(3)",
        "hangs": "import threading; threading.Event().wait()",
        "broken": "def (",
    }.items():
        note = f"open({str(installed.folder / plugin_id)!r}, 'w').close()\n"
        installed.add(plugin_id, body if plugin_id == "broken" else note + body)
    installed.add("echo", ECHO)
    done = installed.run("""
        import asyncio, sys
        from dovetail import Kernel

        async def main():
            async with Kernel.open({"providers": {"echo": {}}}, env={}) as kernel:
                print((await kernel.chat("hello")).text)
                print({"writes", "raises", "hangs", "broken"} <= set(kernel.plugins))
            print(sorted(name for name in sys.modules if name.startswith("dovetail_")))

        asyncio.run(main())
    """)
    assert done.stdout.splitlines() == ["hello", "True", "['dovetail_echo']"]
    assert (done.returncode, done.stderr) == (0, "")
    assert not {"writes", "raises", "hangs"} & {path.name for path in installed.folder.iterdir()}


async def test_a_plugin_is_imported_once_and_not_before_it_is_needed(
    installed: Distributions,
) -> None:
    count = installed.folder / "imports"
    installed.add("echo", f"with open({str(count)!r}, 'a') as f:\n    f.write('x')\n" + ECHO)
    config = {"providers": {name: {"use": "echo"} for name in "abc"}}
    kernel = Kernel.open(config, env={})
    assert not count.exists()
    async with kernel:
        await kernel.reload()
    async with Kernel.open(config, env={}):
        assert count.read_text() == "x"


async def test_two_distributions_of_one_id_are_refused_if_config_names_it(
    installed: Distributions,
) -> None:
    installed.add("twin", ECHO)
    installed.add("twin", "raise RuntimeError", name="other-twin", version="2.5")
    installed.add("echo", ECHO)
    async with kernel_for("echo"):
        pass
    failure = await only_failure(kernel_for("twin"))
    assert failure.stage is FailureStage.DISCOVER
    assert "dovetail-twin 1.0" in str(failure)
    assert "other-twin 2.5" in str(failure)
    assert "uninstall all but one" in failure.hint
    assert not installed.modules() & {"dovetail_twin", "other_twin"}


async def test_a_distribution_that_is_on_the_path_twice_is_no_clash(
    installed: Distributions,
) -> None:
    installed.add("echo", ECHO, version="2.0")
    installed.add("echo", ECHO, version="1.0")
    async with kernel_for("echo") as kernel:
        assert kernel.plugins["echo"].clash == ()


async def test_a_plugin_for_another_api_version_is_seen_named_and_refused_without_import(
    installed: Distributions,
) -> None:
    module = installed.add("future", ECHO, group="dovetail.v2", version="9.1")
    failure = await only_failure(kernel_for("future"))
    assert failure.stage is FailureStage.DISCOVER
    assert (failure.distribution, failure.version) == ("dovetail-future", "9.1")
    assert "version 2" in str(failure.cause)
    assert "version 1" in str(failure.cause)
    assert "dovetail-future" in failure.hint
    assert module not in installed.modules()


async def test_of_a_distribution_for_several_api_versions_the_kernels_own_is_taken(
    installed: Distributions,
) -> None:
    installed.add_module("future_echo", "raise RuntimeError")
    points = "[dovetail.v2]\necho = future_echo\n[dovetail.v1]\necho = dovetail_echo\n"
    installed.add("echo", ECHO, entry_points=points)
    async with kernel_for("echo") as kernel:
        assert kernel.plugins["echo"].module == "dovetail_echo"


async def test_other_groups_are_no_plugins(installed: Distributions) -> None:
    for group in ("dovetail", "dovetail.v1.commands", "dovetail.vx", "dovetail.v1x", "other"):
        installed.add(f"group-{group}", ECHO, group=group)
    installed.add("echo", ECHO)
    async with kernel_for("echo") as kernel:
        assert not [plugin_id for plugin_id in kernel.plugins if plugin_id.startswith("group-")]


async def test_broken_metadata_of_one_distribution_harms_no_other(
    installed: Distributions,
) -> None:
    nonsense = "[dovetail.v1]\nno equals sign\n= nothing\n[unclosed\n; a remark\n"
    installed.add("nonsense", ECHO, entry_points=nonsense)
    installed.add("bytes", ECHO)
    points = installed.folder / "dovetail_bytes-1.0.dist-info" / "entry_points.txt"
    points.write_bytes(b"[dovetail.v1]\nbytes = \xff\xfe")
    installed.add("none", ECHO)
    (installed.folder / "dovetail_none-1.0.dist-info" / "entry_points.txt").unlink()
    installed.add("echo", ECHO)
    async with kernel_for("echo") as kernel:
        assert (await kernel.chat("hello")).text == "hello"
        assert not {"nonsense", "bytes", "none"} & set(kernel.plugins)


async def test_without_metadata_the_folder_says_name_and_version(
    installed: Distributions,
) -> None:
    installed.add("bare", ECHO, version="4.2", metadata=False)
    async with kernel_for("bare") as kernel:
        record = kernel.plugins["bare"]
        assert (record.distribution, record.version) == ("dovetail_bare", "4.2")


async def test_an_entry_point_may_name_an_attribute_of_a_module(
    installed: Distributions,
) -> None:
    source = ECHO + "class Holder:\n    providers = staticmethod(providers)\ndel providers\n"
    points = "[dovetail.v1]\nheld = dovetail_held:Holder [extra]\n"
    installed.add("held", source, entry_points=points)
    async with kernel_for("held") as kernel:
        assert (await kernel.chat("hello")).text == "hello"


async def test_an_unknown_plugin_is_met_with_the_nearest_name_and_how_to_install_it(
    installed: Distributions,
) -> None:
    installed.add("echo", ECHO)
    failure = await only_failure(kernel_for("ecko"))
    assert failure.stage is FailureStage.DISCOVER
    assert "did you mean `echo`?" in failure.hint
    assert "pip install dovetail-ecko" in failure.hint
    assert "[providers.ecko]" in failure.component


async def test_without_discovery_only_registered_plugins_exist(installed: Distributions) -> None:
    installed.add("echo", ECHO)
    kernel = Kernel.open({"providers": {"echo": {}}}, env={}, discover_installed=False)
    assert "no plugin `echo`" in str(await refusal(kernel))
    kernel = Kernel.open({"providers": {"echo": {}}}, env={}, discover_installed=False)
    async with kernel.register("echo", plugin(providers=[Echo])):
        assert (await kernel.chat("hello")).text == "hello"


async def test_a_registered_plugin_takes_the_place_of_an_installed_one(
    installed: Distributions,
) -> None:
    module = installed.add("echo", "raise RuntimeError")
    kernel = kernel_for("echo").register("echo", plugin(providers=[Echo]), version="0.3")
    async with kernel:
        assert (await kernel.chat("hello")).text == "hello"
        assert kernel.plugins["echo"].version == "0.3"
    assert module not in installed.modules()
