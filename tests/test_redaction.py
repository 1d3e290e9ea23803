"""Secrets stay out of everything that is shown."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dovetail.redaction import MASK, looks_secret, redact, redact_url

SECRET = "hunter2-HUNTER2"

# What a secret is written around: pieces that the rules look for, in any order.
PIECES = (
    ":// @ : = ? & ; , \" ' / user token api_key password bearer basic authorization: cookie= "  # noqa: SIM905 - a list would be a line for each
    "sk- eyJ . abc 12345678 X9 *** key { }".split()
)
pieces = st.sampled_from([*PIECES, " ", "\n", "Bearer ", "basic ", "Authorization: "])
SECRET_NAMES = (
    "password api_key API-Key apiKey OPENAI_API_KEY X-Auth-Token token key client_secret APIKEY "  # noqa: SIM905 - a list would be a line for each
    "dbPassword userpassword private_key credentials accesstoken authorization Set-Cookie "
    "api_keys auth_tokens secretKey passphrase".split()
)
OTHER_NAMES = (
    "max_tokens tokens tokenizer keep_alive sort_key keys monkey base_url author keyboard _ "  # noqa: SIM905 - a list would be a line for each
    "secretary session passed key_count token_count".split()
)
SLOW_PIECES = (
    'a :// ://a ://a: ://@ sk- sk-a eyJaaaaaaaaa. key= ?key key token: " \' "key" - _ = eyJ a. '  # noqa: SIM905 - a list would be a line for each
    "authorization authorization: password=' &a= ://token=a/b,x@".split()
)


@pytest.mark.parametrize("key", SECRET_NAMES)
def test_names_of_secrets_are_known(key: str) -> None:
    assert looks_secret(key)


@pytest.mark.parametrize("key", [*OTHER_NAMES, "", "x" * 1000])
def test_names_of_other_things_are_not(key: str) -> None:
    assert not looks_secret(key)


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"authorization=Digest realm, {SECRET}",
        f'"Authorization": "Basic {SECRET}"',
        f"{{'authorization': 'Bearer {SECRET}'}}",
        f"Proxy-Authorization: {SECRET}",
        f"set-cookie: session={SECRET}; path=/",
        f"sent bearer {SECRET} to it",
        f"sent Basic {SECRET}== to it",
        f"postgres://me:{SECRET}@host:5432/db",
        f"redis://:{SECRET}@host",
        f"https://{SECRET}@host/path",
        f"postgres://me:p@{SECRET}@host",
        f"GET /v1?a=b&api_key={SECRET}&c=d",
        f"https://host/?key={SECRET}#x",
        f"password={SECRET}",
        f"password = '{SECRET} and more'",
        f'{{"api_key": "{SECRET}"}}',
        f"X-Auth-Token: {SECRET}",
        f"key sk-{SECRET}",
        f"sk-proj-{SECRET}",
        f"(ghp_{SECRET.replace('-', '')})",
        f"AIza{'x' * 30}{SECRET}",
        f"eyJhbGciOiJI.{SECRET}.sig",
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str) -> None:
    redacted = redact(text)
    assert "unter2" not in redacted
    assert MASK in redacted


@pytest.mark.parametrize(
    "text",
    [
        "basic settings of the kernel",
        "max_tokens=100 temperature=0.5",
        "unknown key: colour",
        "http://host:8080/path?q=a@b",
        "mail me@example.com",
        "task-force, risk-assessment and desk-organisation",
        "the model ollama/llama3.2 took 3.5s",
        'url="http://host" mail="a@b"',
        "",
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_what_is_left_still_tells_what_it_was() -> None:
    assert redact("postgres://me:pw@host/db") == "postgres://me:***@host/db"
    assert redact("https://h/?a=1&key=abc&b=2") == "https://h/?a=1&key=***&b=2"
    assert redact('{"api_key": "x y", "n": 1}') == '{"api_key": "***", "n": 1}'
    assert redact("Authorization: Bearer abc\nAccept: x") == "Authorization: ***\nAccept: x"
    assert redact("bad key sk-abcdefghijkl") == "bad key sk-***"


def test_a_url_keeps_its_user_and_its_other_items() -> None:
    url = "https://me:pw@host:1/p?token=x&q=1#f"
    assert redact_url(url) == "https://me:***@host:1/p?token=***&q=1#f"


secrets = st.text(st.characters(exclude_characters="*", codec="utf-8"), min_size=4, max_size=20)


@given(secrets, st.lists(st.text(st.characters(exclude_characters="*"))))
def test_a_known_secret_is_nowhere_in_the_text(secret: str, around: list[str]) -> None:
    assert secret not in redact(secret.join(around), [secret])


@given(secrets)
def test_a_known_secret_is_not_in_a_repr_either(secret: str) -> None:
    assert redact(repr(secret), [secret]).strip("'\"") == MASK


def test_a_secret_within_another_does_not_uncover_it() -> None:
    assert redact("abcdefgh", ["cdef", "abcdefgh"]) == MASK


@given(st.lists(pieces, max_size=20).map("".join))
@example("://token=a/b,x@c")
@example("authorization: Bearer Bearer x")
def test_redacting_twice_is_the_same_as_once(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@given(st.text(), st.lists(secrets, max_size=3))
def test_any_text_can_be_redacted(text: str, known: list[str]) -> None:
    once = redact(text, known)
    assert redact(once, known) == once


@pytest.mark.parametrize("piece", [*SLOW_PIECES, " ", "Bearer ", "basic ", "cookie: ", "token = "])
def test_time_grows_with_the_length_only(piece: str) -> None:
    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        started = time.perf_counter()
        redact(text)
        return time.perf_counter() - started

    # Four times the text takes sixteen times as long where the time grows with the square.
    short = min(seconds(20_000) for _ in range(3))
    assert min(seconds(80_000) for _ in range(3)) < 10 * short + 0.05


@pytest.mark.parametrize(
    "text",
    [
        "s.toml:7 [providers.x] api_key: there is no key `api_key` here",
        "dovetail: s.toml:7 [providers.x] api_key: `api_key` should be a valid string",
        "/a b/s.toml:7 [[middleware]] #2 auth_token: `auth_token` is missing",
        "config mapping [providers.x] headers.authorization: there is no key `authorization` here",
        "environment variable DOVETAIL__PROVIDERS__X__API_KEY: there is no key `api_key` here",
        "flag providers.x.password: `password` should be a valid string",
        "s.toml:7 [providers.x] api_key: the environment variable OPENAI_API_KEY is not set",
    ],
)
def test_what_the_kernel_says_of_a_mistake_under_a_secret_name_stays(text: str) -> None:
    assert redact(text) == text
    assert MASK not in redact(f"2 things are wrong:\n  • {text}\n    → mend it")


@pytest.mark.parametrize(
    "text",
    [
        f"s.toml:7 [providers.x] api_key: {SECRET}",
        f"s.toml:7 [providers.x] api_key: `api_key` is wrong, api_key: {SECRET}",
        f"[providers.x] api_key: `{SECRET}` should not be here",
        f"flag api_key: {SECRET}",
        f"environment variable API_KEY: {SECRET}",
    ],
)
def test_a_place_in_the_config_hides_no_secret(text: str) -> None:
    assert "unter2" not in redact(text)
