"""What an operator may write, and what is refused."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from dovetail_redis import RedisSettings
from dovetail_redis.settings import address


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://cache", "redis://cache:6379/0"),
        ("rediss://ada:hunter22@cache:6380/3", "rediss://cache:6380/3"),
        ("redis://:hunter22@[::1]:6379", "redis://[::1]:6379/0"),
        ("redis://:hunter%2322@cache?ssl_ca_certs=/etc/ca.pem&db=2", "redis://cache:6379/2"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(url: str, shown: str) -> None:
    settings = RedisSettings(url=SecretStr(url))
    assert address(settings.url) == shown
    assert "hunter" not in repr(settings)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"url": "http://cache"}, "should be an address such as redis://"),
        ({"url": "cache:6379"}, "should be an address such as redis://"),
        ({"url": "redis://"}, "should be an address such as redis://"),
        ({"url": "redis://cache/hunter22"}, "whose last part is a database's number"),
        ({"url": "redis://:hunter22/x@cache"}, "in a password write `#`"),
        ({"url": "redis://:hunter#22@cache"}, "in a password write `#`"),
        ({"url": "redis://cache:hunter22"}, "in a password write `#`"),
        ({"url": "redis://:hunter[22@cache"}, "in a password write `#`"),
        ({"url": "unix://run/redis.sock"}, "by its whole path"),
        ({"url": "redis://cache?password=hunter22"}, "only `db`, `client_name` and `ssl_"),
        ({"url": "redis://cache?decode_responses=true"}, "only `db`, `client_name` and `ssl_"),
        ({"prefix": "{app}:"}, "should hold no brace"),
        ({"prefix": ""}, "at least 1 character"),
        ({"connections": 0}, "greater than or equal to 1"),
        ({"timeout": 0}, "greater than 0"),
        ({"retry_for": "soon"}, "should be a duration"),
    ],
)
def test_a_mistake_is_explained_without_its_value(settings: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why) as caught:
        RedisSettings.model_validate(settings)
    assert "hunter" not in str(caught.value)
