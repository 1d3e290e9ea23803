"""Keeping secrets out of logs, errors and everything else that is shown."""

from __future__ import annotations

import re
from functools import lru_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "***"
_MOST_ROUNDS = 5
_LONGEST_NAME = 80
SHORTEST_SECRET = 4
"""A shorter text is no secret worth the name, and masking it would make every text unreadable."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS = frozenset(
    "password passwd passphrase pwd secret secrets credential credentials authorization bearer "  # noqa: SIM905 - a list would be a line for each
    "apikey apikeys cookie cookies".split()
)
_SECRET_ENDINGS = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "apikey",
    "authtoken",
    "accesstoken",
    "refreshtoken",
    "secretkey",
    "privatekey",
    "accesskey",
)
# What makes a `…_key` or `…_tokens` a secret: a `sort_key` and `max_tokens` are none.
_SECRET_OWNERS = frozenset(
    "api access auth private signing encryption master session service account shared ssh hmac "  # noqa: SIM905 - as above
    "license refresh client".split()
)


def looks_secret(key: str) -> bool:
    """Whether a value under this name is likely to be a secret (`api_key`, `X-Auth-Token`)."""
    # The names in logs are always the same few; a long one is not worth the memory.
    return _known_name(key) if len(key) <= _LONGEST_NAME else _is_secret_name(key)


def _is_secret_name(key: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(key)]
    if not words:
        return False
    if not _SECRET_WORDS.isdisjoint(words) or words[-1].endswith(_SECRET_ENDINGS):
        return True
    if words[-1] == "token" or words == ["key"]:
        return True
    return words[-1] in {"key", "keys", "tokens"} and not _SECRET_OWNERS.isdisjoint(words[:-1])


_known_name = lru_cache(maxsize=1024)(_is_secret_name)


def redact_url(url: str) -> str:
    """`url` without its password and without the values of secret-looking query items."""
    return _QUERY_ITEM.sub(_mask_query_item, _USERINFO.sub(_mask_userinfo, url))


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` with everything masked that is one of `secrets` or looks like a secret.

    Masked are passwords in URLs, `Authorization` and `Cookie` headers, Bearer and Basic tokens,
    keys with a well-known beginning (`sk-…`, `ghp_…`, JWTs) and the values of secret-looking names
    in `name=value` and `name: value`. Redacting twice is the same as once, and the time it takes
    grows with the length of the text only.
    """
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(repr(secret)[1:-1], MASK).replace(secret, MASK)
    # What one rule masks may bring to light a form that another knows, hence until it is stable.
    for _ in range(_MOST_ROUNDS):
        masked = _redact_once(text)
        if masked == text:
            break
        text = masked
    return text


# Every quantifier that could be given back is possessive (`*+`) or starts where only one attempt
# can: that keeps the time linear for any text.
_USERINFO = re.compile(r'(?<=://)[^\s/?#"]*@')
_QUERY_ITEM = re.compile(r"(?<=[?&;])([\w.\-]++)=([^&;#\s\"']++)")
_HEADER = re.compile(
    r"""(?<![\w-])((?:proxy-)?authorization|(?:set-)?cookie)"""
    r"""(["']?+[ \t]*+[:=][ \t]*+["']?+)[^"'\r\n]++""",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?<![\w-])(bearer[ \t]++)[\w.~+/=*-]++", re.IGNORECASE)
_BASIC = re.compile(r"(?<![\w-])(basic[ \t]++)([A-Za-z0-9+/_-]{6,}+=*+)", re.IGNORECASE)
_WELL_KNOWN = re.compile(
    r"""(?<![A-Za-z0-9])(?:
        ((?:sk|pk|rk|gsk|xai|pplx|nvapi|glpat|tvly|xox[abeoprs])-)[\w-]{8,}+
      | ((?:gh[opusr]|github_pat|hf|sk_live|sk_test|rk_live|whsec|r8)_)[\w-]{8,}+
      | (AIza)[\w-]{30,}+
      | (AKIA|ASIA)[A-Z0-9]{12,}+
      | (eyJ)[\w-]{8,}+\.[\w-]++(?:\.[\w-]*+)?
    )""",
    re.VERBOSE,
)
_PAIR = re.compile(
    r"""(?<![\w-])(["']?+)([A-Za-z][\w-]*+)(["']?+[ \t]*+[=:][ \t]*+)"""
    r"""("[^"\n]*+"?+|'[^'\n]*+'?+|[^\s"',;&}\])]++)"""
)


# A mistake in the config is told as "dovetail.toml:7 [providers.x] api_key: there is no key …".
# What stands behind the colon there are the kernel's own words, which hold no secret unmasked.
_PLACE = re.compile(
    r"""(?:(?::\d+|\bconfig\ mapping)\ \[[^\]\n]++\]{1,2}(?:\ \#\d+)?\ [^\s:]++
      | \benvironment\ variable\ \w++
      | \bflag\ [^\s:]++
    ):\ $""",
    re.VERBOSE,
)
_OWN_WORDS = re.compile(
    r"`[^`\n]*+`[ :]|there is no |the environment variable |has a `\$|should be |sets |"
    r"names no key|begins with `|lies more "
)
_LONGEST_PLACE = 300


def _redact_once(text: str) -> str:
    # Most text holds none of these words, and looking for them costs a tenth of a search.
    plain = text.lower()
    if "authorization" in plain or "cookie" in plain:
        text = _HEADER.sub(_mask_header, text)
    if "bearer" in plain:
        text = _BEARER.sub(rf"\1{MASK}", text)
    if "basic" in plain:
        text = _BASIC.sub(_mask_basic, text)
    text = _WELL_KNOWN.sub(_mask_well_known, text)
    if ":" in plain or "=" in plain:
        text = redact_url(_PAIR.sub(_mask_pair, text))
    return text


def _is_place(match: re.Match[str], end: int) -> bool:
    """Whether what ends at `end` is a place in the config, with the kernel's words after it."""
    text = match.string
    if not _OWN_WORDS.match(text, end):
        return False
    return _PLACE.search(text, max(0, end - _LONGEST_PLACE), end) is not None


def _mask_header(match: re.Match[str]) -> str:
    return match[0] if _is_place(match, match.end(2)) else f"{match[1]}{match[2]}{MASK}"


def _mask_userinfo(match: re.Match[str]) -> str:
    """Keep the user's name where there is a password; alone it is a token."""
    user, colon, _ = match[0].partition(":")
    return f"{user}:{MASK}@" if colon else f"{MASK}@"


def _mask_query_item(match: re.Match[str]) -> str:
    return f"{match[1]}={MASK}" if looks_secret(match[1]) else match[0]


def _mask_basic(match: re.Match[str]) -> str:
    """Only what cannot be a word: `basic settings` stays."""
    return match[0] if match[2].isalpha() and match[2].islower() else match[1] + MASK


def _mask_well_known(match: re.Match[str]) -> str:
    beginning = next(group for group in match.groups() if group)
    return f"{beginning}{MASK}"


def _mask_pair(match: re.Match[str]) -> str:
    quote, name, separator, value = match.groups()
    if not looks_secret(name) or _is_place(match, match.start(4)):
        return match[0]
    if name.lower() == "key" and not quote and ":" in separator:
        return match[0]  # prose: "unknown key: colour"
    around = value[0] if value[0] in "\"'" else ""
    return f"{quote}{name}{separator}{around}{MASK}{around}"


def scrub(error: BaseException, secrets: Iterable[str]) -> None:
    """Mask `secrets` in an exception and in what caused it, where they stand in its arguments.

    For exceptions of plugins, which may be logged with their causes by anybody.
    """
    known = [secret for secret in secrets if secret]
    seen: set[int] = set()
    current: BaseException | None = error
    while known and current is not None and id(current) not in seen:
        seen.add(id(current))
        current.args = tuple(_scrubbed(argument, known) for argument in current.args)
        named = [
            *vars(current),
            *(("strerror", "filename") if isinstance(current, OSError) else ()),
        ]
        for name in named:
            value = getattr(current, name)
            if isinstance(value, str):
                setattr(current, name, _scrubbed(value, known))
        current = current.__cause__ or current.__context__


def _scrubbed(value: object, secrets: list[str]) -> object:
    if not isinstance(value, str) or not any(secret in value for secret in secrets):
        return value
    return redact(value, secrets)
