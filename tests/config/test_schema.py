"""The JSON Schema of the config file, as an editor would apply it."""

from __future__ import annotations

import re
import tomllib
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from dovetail.config.durations import Duration
from dovetail.config.schema import config_schema
from dovetail.config.shape import settings_schema
from dovetail.events.in_process import InProcessBusSettings
from dovetail.host.options import PipelineOptions
from dovetail.pipeline.persona import Persona

Schema = dict[str, Any]


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Peer(Closed):
    host: str
    weight: int = 1


class ChatSettings(Closed):
    """What a turn does."""

    model: str = ""


class SessionSettings(Closed):
    """How long conversations live."""

    lifetime: Duration = 3600.0


class Ollama(Closed):
    base_url: str = Field("http://127.0.0.1", description="Where it listens.")
    timeout: Duration = 30.0
    attempts: int = 3
    mode: Literal["fast", "exact"] = "fast"
    api_key: SecretStr | None = None
    peers: list[Peer] = []


class OtherPeer(Closed):
    address: str


class OpenAI(Closed):
    api_key: SecretStr
    peers: dict[str, OtherPeer] = {}


OtherPeer.__name__ = "Peer"  # two plugins may well have a model of one name

COMPONENTS: list[tuple[str, str | None, str, type[BaseModel] | None]] = [
    ("ollama", "ollama", "provider", Ollama),
    ("openai", "openai", "provider", OpenAI),
    ("openai", "embeddings", "provider", OpenAI),
    ("many", "one", "provider", None),
    ("many", "two", "provider", None),
    ("resilience", "resilience", "middleware", Ollama),
    ("logging", "logging", "middleware", None),
    ("in-memory", "in-memory", "sessions", None),
    ("sqlite", "sqlite", "sessions", Peer),
    ("postgres", "postgres", "shared", Peer),
    ("postgres", "memory", "service", Ollama),
]


@pytest.fixture(scope="module")
def schema() -> Schema:
    return config_schema(
        [
            {
                "plugin": plugin,
                "component": component,
                "kind": kind,
                "settings_schema": settings_schema(model) if model else None,
            }
            for plugin, component, kind, model in COMPONENTS
        ],
        chat=settings_schema(ChatSettings),
        kernel=settings_schema(Closed),
        sessions=settings_schema(SessionSettings),
        bus=settings_schema(InProcessBusSettings),
        pipeline=settings_schema(PipelineOptions),
        persona=settings_schema(Persona),
    )


def is_of_type(value: object, name: str) -> bool:
    types: dict[str, type | tuple[type, ...]] = {
        "object": dict,
        "array": list,
        "string": str,
        "boolean": bool,
        "integer": int,
        "number": (int, float),
        "null": type(None),
    }
    return isinstance(value, types[name]) and (name == "boolean" or not isinstance(value, bool))


def allows(root: Schema, rule: Any, value: Any) -> bool:  # noqa: C901, PLR0911, PLR0912 - one branch for each keyword
    """Whether `value` keeps `rule`, for the keywords that our schemas are made of."""
    known = {"$schema", "$ref", "$defs", "type", "const", "enum", "pattern", "minimum", "required"}
    known |= {"properties", "additionalProperties", "items", "allOf", "anyOf", "if", "then", "else"}
    known |= {"title", "description", "default", "examples", "format", "writeOnly"}
    assert rule.keys() <= known, rule.keys() - known
    if "$ref" in rule and not allows(root, root["$defs"][rule["$ref"][8:]], value):
        return False
    if "type" in rule and not is_of_type(value, rule["type"]):
        return False
    if "const" in rule and value != rule["const"]:
        return False
    if "enum" in rule and value not in rule["enum"]:
        return False
    if "pattern" in rule and isinstance(value, str) and not re.search(rule["pattern"], value):
        return False
    if "minimum" in rule and is_of_type(value, "number") and value < rule["minimum"]:
        return False
    if "if" in rule:
        branch = "then" if allows(root, rule["if"], value) else "else"
        if not allows(root, rule.get(branch, {}), value):
            return False
    if not all(allows(root, part, value) for part in rule.get("allOf", ())):
        return False
    if "anyOf" in rule and not any(allows(root, part, value) for part in rule["anyOf"]):
        return False
    if isinstance(value, list):
        return all(allows(root, rule.get("items", {}), item) for item in value)
    if isinstance(value, dict):
        if not set(rule.get("required", ())) <= value.keys():
            return False
        for key, item in value.items():
            part = rule.get("properties", {}).get(key, rule.get("additionalProperties", {}))
            if part is False or not allows(root, part, item):
                return False
    return True


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[chat]\nmodel = 'a/b'",
        "[providers.ollama]",
        "[providers.ollama]\nbase_url = 'u'\ntimeout = '5m'\noptional = true",
        "[providers.ollama]\nuse = 'ollama'",
        "[providers.ollama]\nuse = 'openai'\napi_key = 'k'",
        "[providers.mine]\nuse = 'ollama:ollama'\nattempts = 2",
        "[providers.mine]\nuse = 'openai:embeddings'\napi_key = '${KEY}'",
        "[providers.ollama]\nattempts = '${TRIES:-3}'\nmode = '${MODE}'\ntimeout = '${LIMIT}'",
        "[providers.ollama]\noptional = '${X}'",
        "[[providers.ollama.peers]]\nhost = 'h'\nweight = '${W}'",
        "[providers.many]\nuse = 'many:one'",
        "[[middleware]]\nuse = 'resilience'\nattempts = 1\n[[middleware]]\nuse = 'logging'",
        "[sessions]\nlifetime = '1h'",
        "[sessions]\nuse = 'in-memory'\nlifetime = 60",
        "[sessions]\nuse = 'sqlite'\nhost = 'h'\nlifetime = '${L}'",
        "[plugins.postgres]\nhost = 'h'",
        "[plugins.postgres]\nhost = 'h'\n[plugins.postgres.memory]\nattempts = 2",
        "[plugins.ollama]\noptional = true",
    ],
)
def test_what_dovetail_takes_the_editor_takes(schema: Schema, text: str) -> None:
    assert allows(schema, schema, tomllib.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        "[chatt]",
        "[chat]\nmodle = 'a/b'",
        "[providers.ollama]\nbase_ulr = 'u'",
        "[providers.ollama]\nuse = 'nobody'",
        "[providers.ollama]\nuse = 'openai'\nbase_url = 'u'",
        "[providers.ollama]\noptional = 'yes'",
        "[providers.ollama]\nattempts = 'three'",
        "[providers.ollama]\ntimeout = 'soon'",
        "[providers.ollama]\nmode = 'other'",
        "[[providers.ollama.peers]]\naddress = 'h'",
        "[providers.openai]",
        "[providers.openai]\napi_key = 'k'\n[providers.openai.peers.x]\nhost = 'h'",
        "[providers.mine]\nbase_url = 'u'",
        "[providers.mine]\nuse = 'resilience'",
        "[providers.many]",
        "[providers.many]\nuse = 'many'",
        "[[providers]]\nuse = 'ollama'",
        "[[middleware]]\nattempts = 1",
        "[[middleware]]\nuse = 'logging'\ncolour = 1",
        "[middleware]\nuse = 'logging'",
        "[sessions]\nhost = 'h'",
        "[sessions]\nuse = 'redis'",
        "[sessions]\nuse = 'sqlite'",
        "[plugins.postgres]\nport = 1",
        "[plugins.postgres]\nhost = 'h'\n[plugins.postgres.memory]\natempts = 2",
        "[plugins.ollama]\nbase_url = 'u'",
        "[plugins.nobody]",
    ],
)
def test_what_dovetail_refuses_the_editor_refuses(schema: Schema, text: str) -> None:
    assert not allows(schema, schema, tomllib.loads(text))


def test_an_editor_can_offer_the_keys_and_say_what_they_are_for(schema: Schema) -> None:
    offered = schema["properties"]["providers"]["properties"]["ollama"]["properties"]
    assert offered["base_url"] == {"description": "Where it listens."}
    assert offered.keys() >= {"use", "optional", "timeout", "api_key"}
    assert schema["properties"]["sessions"]["properties"].keys() >= {"use", "lifetime"}


def test_every_reference_leads_somewhere(schema: Schema) -> None:
    text = repr(schema)
    names = set(re.findall(r"'\$ref': '#/\$defs/([^']+)'", text))
    assert len(names) > 10
    assert names <= schema["$defs"].keys()
    assert text.count("#/$defs/") == text.count("'$ref': '#/$defs/")


def test_the_members_of_a_union_keep_their_tags() -> None:
    class Circle(Closed):
        kind: Literal["circle"]
        radius: int

    class Square(Closed):
        kind: Literal["square"]
        side: int

    class Drawing(Closed):
        figure: Circle | Square = Field(discriminator="kind")

    component = {
        "plugin": "draw",
        "component": "pen/1",
        "kind": "middleware",
        "settings_schema": settings_schema(Drawing),
    }
    empty = settings_schema(Closed)
    schema = config_schema(
        [component],
        chat=empty,
        kernel=empty,
        sessions=empty,
        bus=empty,
        pipeline=empty,
        persona=empty,
    )
    figure = schema["$defs"]["middleware.draw.pen.1"]["properties"]["figure"]
    assert figure["discriminator"]["mapping"] == {
        "circle": "#/$defs/middleware.draw.pen.1.Circle",
        "square": "#/$defs/middleware.draw.pen.1.Square",
    }
    assert (
        schema["$defs"]["middleware.draw.pen.1.Circle"]["properties"]["kind"]["const"] == "circle"
    )
