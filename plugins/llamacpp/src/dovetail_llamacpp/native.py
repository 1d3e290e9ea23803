"""Opening xllamacpp's server, the one place that knows its parameters.

It is imported by the first load, on that load's thread: it takes 30 ms and 100 MB of library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail import InvalidRequest, ProviderUnavailable
from dovetail_llamacpp.cores import spare_threads

if TYPE_CHECKING:
    from pathlib import Path

    from xllamacpp import CommonParams, Server

    from dovetail_llamacpp.gguf import Header
    from dovetail_llamacpp.options import Options

_PROMPT_CACHE_MIB = 256


def open_server(options: Options, header: Header, key: str) -> Server:
    """Load the model; blocks until it is ready. `key` guards the server's HTTP side.

    Raises:
        InvalidRequest: llama.cpp refuses the file or the options.
        ProviderUnavailable: xllamacpp cannot be imported.
    """
    try:
        import xllamacpp
    except ImportError as error:
        message = f"xllamacpp cannot be imported ({error}); install it with `pip install xllamacpp`"
        raise ProviderUnavailable(message) from error
    _read_ahead(options.path)
    try:
        server = xllamacpp.Server(_parameters(options, header, key))
    except RuntimeError as error:
        message = (
            f"llama.cpp cannot load `{options.path}` (architecture `{header.architecture}`): "
            "this version does not know it, or memory does not suffice; `verbosity = 3` in the "
            "provider's settings makes it say why on stderr"
        )
        raise InvalidRequest(message) from error
    # It says that it is ready just before its main loop runs. If it were freed in that moment it
    # would wait for ever, with the interpreter's lock; an answer to this shows that the loop runs.
    server.handle_metrics()
    return server


def _read_ahead(path: Path) -> None:
    """Have the file in the system's cache, without the interpreter's lock.

    xllamacpp holds that lock while it loads: 0.1 to 0.2 s for a file of 100 MB that is in the
    cache, but as long as the disk takes for one that is not.
    """
    block = bytearray(4 << 20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(block):
            pass


def _parameters(options: Options, header: Header, key: str) -> CommonParams:
    import xllamacpp

    kinds = xllamacpp.ggml_backend_dev_type
    accelerated = any(
        device["type"] != kinds.GGML_BACKEND_DEVICE_TYPE_CPU
        for device in xllamacpp.get_device_info()
    )
    context = options.tokens(header)
    params = xllamacpp.CommonParams()
    params.model.path = str(options.path)
    params.model_alias = {options.name}
    params.n_ctx = context * options.slots
    params.n_parallel = options.slots
    params.n_gpu_layers = options.gpu_layers
    params.verbosity = options.verbosity
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    # It reads the model once more to see how much fits a GPU's memory: nothing to see without one.
    params.fit_params = accelerated
    # The first answer warms it up as well, and does not hold the interpreter's lock meanwhile.
    params.warmup = False
    # It listens on the loopback in any case; nobody else shall use it.
    params.api_keys = [key]
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_metrics = True
    params.n_threads_http = 2
    params.cpuparams.n_threads = options.threads or spare_threads()
    params.n_batch = params.n_ubatch = options.batch
    if options.embedding:
        # A text is embedded in one piece, so a batch must hold the longest.
        params.embedding = True
        params.n_batch = params.n_ubatch = context
        params.pooling_type = _pooling(options.pooling, header)
    return params


def _pooling(name: str | None, header: Header) -> int:
    import xllamacpp

    kinds = xllamacpp.llama_pooling_type
    if name is None and header.pooling is not None:
        return int(kinds.LLAMA_POOLING_TYPE_UNSPECIFIED)  # llama.cpp reads it from the file
    return int(kinds[f"LLAMA_POOLING_TYPE_{(name or 'mean').upper()}"])
