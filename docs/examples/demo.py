"""A real conversation with the model inside the process, and who took part in it.

Run it by `make demo`.
"""

import asyncio
import tempfile
import time
from pathlib import Path

from dovetail import Kernel

CONFIG = {"chat": {"model": "llamacpp/smollm2"}, "providers": {"llamacpp": {}}}
QUESTIONS = ("In two sentences: what is a dovetail joint in woodworking?", "Where is it used?")


async def main(log: Path) -> None:
    """Two turns of one session, as they come."""
    logging = {"use": "logging", "file": str(log), "format": "json"}
    async with Kernel.open({**CONFIG, "middleware": [logging]}) as kernel:
        for question in QUESTIONS:
            await ask(kernel, question)
        took_part = [p for p in kernel.plugins.values() if p.state == "started"]
        session = await kernel.sessions.get_session("demo")
    print("\nplugins that took part:")
    for plugin in took_part:
        print(f"  {plugin.plugin_id:<10} {plugin.distribution} {plugin.version}")
    print(f"messages kept in the session: {session.message_count if session else 0}")


async def ask(kernel: Kernel, question: str) -> None:
    """Stream one answer and say how fast it came."""
    print(f"\n> {question}\n")
    first = 0.0
    async with kernel.stream(question, session="demo") as stream:
        async for chunk in stream:
            first = first or time.perf_counter()
            print(chunk.text, end="", flush=True)
        seconds = time.perf_counter() - first
    usage = stream.response.usage
    tokens = usage.completion_tokens if usage else None
    if tokens:
        print(f"\n\n[{tokens} tokens, {tokens / seconds:.0f} tokens/s, {stream.response.provider}]")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "dovetail.log"
        asyncio.run(main(log))
        print("the logging plugin wrote:")
        print(log.read_text(encoding="utf-8"))
