"""What the server itself does, in Lua: each script is one round trip, and atomic.

A session is a hash and a list of messages. `KEYS` are those two, then a key that remembers the
answer to this very call (so that a call which is sent again changes nothing again), and except in a
cluster the two indexes: `…sessions` by name (with `…sessions:USER` beside it) and `…ends` by time.
A cluster may keep those elsewhere: there a script answers ` list`, and the store sees to it.

Times are microseconds since 1970. Lua's numbers are exact to the microsecond until the year 2255.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha1
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Command: TypeAlias = "tuple[bytes | str | int, ...]"
"""A command and its arguments."""

_COMMON = """
local session, messages, once, all, ends = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

local function number(time)
  return tonumber(time) or math.huge
end

local function over(time)
  local now = redis.call('TIME')
  return number(time) <= now[1] * 1000000 + now[2]
end

local function is(key, kind)
  local found = redis.call('TYPE', key).ok
  return found == kind or found == 'none'
end
"""

_SESSION = (
    _COMMON
    + """
local remember, id, user, created, accessed, expires, dropped = unpack(ARGV, 1, 7)
local state, preferences, auth, version = unpack(ARGV, 8, 11)

if not is(session, 'hash') or not is(messages, 'list') then
  return 'corrupt'
end

local function push()
  for first = 12, #ARGV, 1000 do
    redis.call('RPUSH', messages, unpack(ARGV, first, math.min(first + 999, #ARGV)))
  end
end

local function create()
  -- Nothing is removed that is not there: after one removal a server that is full takes the rest.
  if redis.call('EXISTS', session, messages) > 0 then
    redis.call('UNLINK', session, messages)
  end
  push()
  redis.call('HSET', session, 'user', user, 'created', created, 'accessed', accessed,
    'expires', expires, 'state', state, 'preferences', preferences, 'auth', auth, 'version', 1)
end

local function live()
  for i = 1, 2 do
    if dropped == '' then
      redis.call('PERSIST', KEYS[i])
    else
      redis.call('PEXPIREAT', KEYS[i], dropped)
    end
  end
end

-- By time it is listed no later than it ends: a cleaning that finds it too early looks again.
local function list(new, before)
  if not new and number(expires) >= number(before) then
    return ''
  end
  if not all then
    return ' list'
  end
  redis.call('ZADD', all, 0, id)
  redis.call('ZADD', all .. ':' .. user, 0, id)
  redis.call('ZADD', ends, expires == '' and '+inf' or expires, user .. '\\n' .. id)
  return ''
end
"""
)

_ONCE = """
local known = redis.call('GET', once)
if known then
  return known
end
"""

_REMEMBERED = """
redis.call('SET', once, answer, 'PX', remember)
return answer
"""

_LOAD = """
if not is(session, 'hash') then
  return 'corrupt'
end
local head = redis.call('HMGET', session, 'user', 'created', 'accessed', 'expires', 'state',
  'preferences', 'auth', 'version')
if not head[1] and redis.call('EXISTS', session) == 0 then
  return false
end
if over(head[4]) then
  return ''
end
for i = 1, 8 do
  head[i] = head[i] or ''
end
local said = {}
if is(messages, 'list') then
  head[9] = redis.call('LLEN', messages)
  if ARGV[1] ~= '0' then
    said = redis.call('LRANGE', messages, -ARGV[1], -1)
  end
else
  head[9] = -1
end
-- One text, since the client takes longer for two hundred pieces than for anything else in a turn.
-- Nothing in it has a line feed but between its parts: all of it is JSON or numbers.
head[10] = '[' .. table.concat(said, ',') .. ']'
return table.concat(head, '\\n')
"""

_APPEND = """
local stored = redis.call('HMGET', session, 'user', 'created', 'expires')
if not stored[1] and redis.call('EXISTS', session) == 1 then
  return 'corrupt'
end
-- One whose time ended during its turn goes on; another of the same name begins anew.
local new = not stored[1] or (stored[2] ~= created and over(stored[3]))
if new then
  create()
elseif stored[1] ~= user then
  return 'forbidden'
else
  push()
  redis.call('HSET', session, 'accessed', accessed, 'expires', expires)
end
live()
local answer = 'ok' .. list(new, stored[3])
"""

_SET = """
local stored = redis.call('HMGET', session, 'user', 'created', 'expires', 'version')
if not stored[1] and redis.call('EXISTS', session) == 1 then
  return 'corrupt'
end
local new = not stored[1] or over(stored[3])
if new then
  if version ~= '0' then
    return 'conflict'
  end
  create()
  stored[2], stored[4] = created, 0
elseif stored[1] ~= user then
  return 'forbidden'
elseif stored[4] ~= version then
  return 'conflict'
else
  redis.call('HSET', session, 'accessed', accessed, 'expires', expires, 'state', state,
    'preferences', preferences, 'auth', auth, 'version', version + 1)
end
live()
local count = redis.call('LLEN', messages)
local answer = 'ok ' .. stored[4] + 1 .. ' ' .. stored[2] .. ' ' .. count .. list(new, stored[3])
"""

_TOUCH = """
local stored = redis.call('HMGET', session, 'user', 'expires')
if stored[1] ~= user or over(stored[2]) then
  return 'none'
end
redis.call('HSET', session, 'accessed', accessed, 'expires', expires)
live()
return 'ok' .. list(false, stored[2])
"""

_DELETE = """
local remember, id = ARGV[1], ARGV[2]
local user = is(session, 'hash') and redis.call('HGET', session, 'user')
local there = redis.call('EXISTS', session) == 1
redis.call('UNLINK', session, messages)
if all then
  redis.call('ZREM', all, id)
  if user then
    redis.call('ZREM', all .. ':' .. user, id)
    redis.call('ZREM', ends, user .. '\\n' .. id)
  end
end
local answer = there and 'ok ' .. (user or '') or 'none'
"""

_SWEEP = """
local stored = is(session, 'hash') and redis.call('HMGET', session, 'user', 'expires') or {}
if stored[1] ~= ARGV[1] then
  return 'gone'
end
if over(stored[2]) then
  redis.call('UNLINK', session, messages)
  return 'over'
end
return stored[2] or ''
"""

_OWNER = """
return is(session, 'hash') and redis.call('HMGET', session, 'user', 'expires') or {false, false}
"""

_LEASE = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
"""


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the name that the server knows it by."""

    source: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        digest = sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)

    def call(self, keys: Sequence[bytes], *arguments: bytes | int) -> Command:
        """The command that runs it."""
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)


LOAD = Script(_COMMON + _LOAD)
"""`ARGV`: how many of the latest messages. Answers nil: not there; empty: its time is over."""
APPEND = Script(_SESSION + _ONCE + _APPEND + _REMEMBERED)
"""Adds messages, and creates the session if it is not there."""
SET = Script(_SESSION + _ONCE + _SET + _REMEMBERED)
"""Compares and swaps; answers with the version, when it was created, and the count of messages."""
TOUCH = Script(_SESSION + _TOUCH)
"""Takes over the times alone."""
DELETE = Script(_COMMON + _ONCE + _DELETE + _REMEMBERED)
"""Removes a session, whatever state it is in; answers with its user."""
SWEEP = Script(_COMMON + _SWEEP)
"""Removes a session of the user in `ARGV` if its time is over; answers with its end if not."""
OWNER = Script(_COMMON + _OWNER)
"""A session's user and its end, as they are stored; two nils if there is none."""
LEASE = Script(_LEASE)
"""Takes or renews a lease; `ARGV`: the owner, and milliseconds."""
RELEASE = Script(_RELEASE)
"""Gives a lease back."""

ALL = (LOAD, APPEND, SET, TOUCH, DELETE, SWEEP, OWNER, LEASE, RELEASE)
