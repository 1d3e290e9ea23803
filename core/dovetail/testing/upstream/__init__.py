"""A scripted model server on a real socket, for the tests of network providers.

::

    from dovetail.testing import Upstream, json_reply, openai_json, openai_sse, stall_after


    async def test_it_streams() -> None:
        async with Upstream() as upstream:
            upstream.reply("/chat/completions", openai_sse("Hello", " there", finish="stop"))
            ...  # base_url = f"{upstream.url}/v1"
            assert upstream.requests[0].json["stream"] is True


    async def test_it_is_tried_again() -> None:
        async with Upstream() as upstream:
            busy = json_reply(429, {"error": {"message": "slow down"}}, {"retry-after": "1"})
            upstream.reply("/chat/completions", busy, openai_json("Hello"))
            ...
            assert len(upstream.requests) == 2


    async def test_leaving_early_closes_the_socket() -> None:
        async with Upstream() as upstream:
            upstream.reply("/api/chat", stall_after(ollama_ndjson("Hello", "there"), 1))
            ...
            await upstream.requests[0].disconnected.wait()

Replies are for `Upstream.reply` (a path) and `Upstream.script` (every path): each request takes
the next, and the last one stays.

* Answers: `openai_sse`, `openai_json`, `openai_embeddings`, `openai_models`, `ollama_ndjson`,
  `ollama_json`, `ollama_embeddings`, `ollama_tags`.
* Anything: `json_reply`, `event_stream`, `raw` (every byte of the wire), or a `ScriptedReply` of
  steps: bytes, `Pause`, `Wait` for a `Gate`, `Repeat`, `Reset`, `Close`.
* Faults of a connection: `refused_url`, `reset_at_accept`, `reset_before_headers`,
  `close_before_headers`, `stall_before_headers`, `dies_when_reused`.
* Faults of an answer, each made of a good reply: `stall_before_body`, `stall_after`,
  `comments_only`, `cut_in_line`, `cut_between`, `with_type`, `error_inside`, `length_mismatch`,
  `split_bytes`, `drip`; and by themselves `html_page`, `retry_later`, `garbage`, `endless_line`.
* Not a fault: `gzipped`.
"""
