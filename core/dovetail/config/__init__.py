"""The config file: layers, references to the environment, and errors that name the place.

What this package itself gives needs neither pydantic nor any plugin, so that a command which only
looks at the config starts at once. `validate`, `explain`, `schema` and `durations` are modules of
their own.
"""

from dovetail.config.entries import Config, Entry, parse_config, read_entries
from dovetail.config.files import ConfigFile
from dovetail.config.layers import read_config
from dovetail.config.places import KeyPath
from dovetail.config.raw import Origin, RawConfig

__all__ = [
    "Config",
    "ConfigFile",
    "Entry",
    "KeyPath",
    "Origin",
    "RawConfig",
    "parse_config",
    "read_config",
    "read_entries",
]
