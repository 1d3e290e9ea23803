"""The SQL of the session store; each is one round trip, and a transaction by itself.

Words with an `@` are put in by `Statements`. Whether a session's time is over is decided by the
server's clock, which is the same for every process.
"""

from __future__ import annotations

_LIVE = "(s.expiry_at IS NULL OR s.expiry_at > now())"
_COLUMNS = (
    "session_id, user_id, created_at, last_accessed_at, expiry_at, state, preferences, auth_info,"
    " version, message_count"
)

# A turn may go on though the time of its session ended meanwhile: that was made at the same moment
# as its own copy. One that is made anew under the id of one that is over was not.
_SAME = "s.user_id IS NOT DISTINCT FROM $2 AND (@live OR s.created_at = $3)"

# Both bounds of the tail are needed: the first makes it right, the second has the planner read the
# index in its order, whatever it believes of the table's size.
_LOAD = """
SELECT @columns, ARRAY(
    SELECT message FROM @messages
    WHERE session = s.id AND position > s.message_count - $2::bigint
    ORDER BY position LIMIT $2::bigint
)
FROM @sessions AS s WHERE session_id = $1 AND @live
"""

_APPEND = """
WITH head AS (
    UPDATE @sessions AS s SET last_accessed_at = $4, expiry_at = $5,
        message_count = message_count + cardinality($6::text[])
    WHERE session_id = $1 AND @same
    RETURNING id, message_count - cardinality($6::text[]) AS before
) @body
"""

_APPEND_OR_CREATE = """
WITH head AS (
    @new_row
    ON CONFLICT (session_id) DO UPDATE SET last_accessed_at = $4, expiry_at = $5,
        message_count = s.message_count + cardinality($6::text[])
    WHERE @same
    RETURNING id, message_count - cardinality($6::text[]) AS before
) @body
"""

_CREATE = """
WITH head AS (
    @new_row
    ON CONFLICT (session_id) DO NOTHING RETURNING id, 0 AS before
) @body
"""

_NEW_ROW = """
INSERT INTO @sessions AS s (@columns, change)
VALUES ($1, $2, $3, $4, $5, $8, $9, $10, 1, cardinality($6::text[]), $7::uuid)
"""

_BODY = """
, body AS (
    INSERT INTO @messages (session, position, message, batch)
    SELECT id, before + place, message, CASE place WHEN 1 THEN $7::uuid END
    FROM head, unnest($6::text[]) WITH ORDINALITY AS said (message, place)
)
SELECT count(*) FROM head
"""

_SET = """
UPDATE @sessions AS s SET last_accessed_at = $3, expiry_at = $4, state = $5, preferences = $6,
    auth_info = $7, version = version + 1, change = $9::uuid
WHERE session_id = $1 AND user_id IS NOT DISTINCT FROM $2 AND version = $8 AND @live
RETURNING created_at, version, message_count
"""

_TOUCH = """
UPDATE @sessions AS s SET last_accessed_at = $3, expiry_at = $4
WHERE session_id = $1 AND user_id IS NOT DISTINCT FROM $2 AND @live RETURNING true
"""

_STANDING = """
SELECT user_id, created_at, version, message_count, change::text
FROM @sessions AS s WHERE session_id = $1 AND @live
"""

_DELETE = "DELETE FROM @sessions WHERE session_id = $1"
_DELETE_OVER = "DELETE FROM @sessions AS s WHERE session_id = $1 AND NOT @live"

# A page of ids at a time, each looked at once; one that a turn is just writing to is left.
_CLEAN_UP = """
DELETE FROM @sessions WHERE id IN (
    SELECT id FROM @sessions WHERE id > $1 AND expiry_at <= now()
    ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
) RETURNING id
"""

_PAGE = "SELECT @columns FROM @sessions AS s WHERE session_id > $1 AND @live"
_OF_USER = " AND left(user_id, 100) = left($3, 100) AND user_id = $3"
_OF_NOBODY = " AND left(user_id, 100) IS NULL AND $3::text IS NULL"
_OF_ALL = " AND $3::text IS NULL"
_ENDS_BEFORE = " AND ($4::timestamptz IS NULL OR expiry_at < $4) ORDER BY session_id LIMIT $2"

_LEASE = """
INSERT INTO @leases AS l (lease, owner, ends_at)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (lease) DO UPDATE SET owner = excluded.owner, ends_at = excluded.ends_at
WHERE l.owner = excluded.owner OR l.ends_at <= clock_timestamp() RETURNING true
"""
_RELEASE = "DELETE FROM @leases WHERE lease = $1 AND owner = $2"
_CLEAN_UP_LEASES = "DELETE FROM @leases WHERE ends_at <= clock_timestamp()"


class Statements:
    """The statements, for the tables in one schema."""

    def __init__(self, schema: str) -> None:
        self._words = {
            "@body": _BODY,
            "@new_row": _NEW_ROW,
            "@same": _SAME,
            "@live": _LIVE,
            "@columns": _COLUMNS,
            "@sessions": f'"{schema}".sessions',
            "@messages": f'"{schema}".messages',
            "@leases": f'"{schema}".leases',
        }
        self.load = self._sql(_LOAD)
        self.append = self._sql(_APPEND)
        self.append_or_create = self._sql(_APPEND_OR_CREATE)
        self.create = self._sql(_CREATE)
        self.set = self._sql(_SET)
        self.touch = self._sql(_TOUCH)
        self.standing = self._sql(_STANDING)
        self.delete = self._sql(_DELETE)
        self.delete_over = self._sql(_DELETE_OVER)
        self.clean_up = self._sql(_CLEAN_UP)
        self.page_of_user = self._sql(_PAGE + _OF_USER + _ENDS_BEFORE)
        self.page_of_nobody = self._sql(_PAGE + _OF_NOBODY + _ENDS_BEFORE)
        self.page_of_all = self._sql(_PAGE + _OF_ALL + _ENDS_BEFORE)
        self.lease = self._sql(_LEASE)
        self.release = self._sql(_RELEASE)
        self.clean_up_leases = self._sql(_CLEAN_UP_LEASES)

    def _sql(self, text: str) -> str:
        for word, meaning in self._words.items():  # in the order in which they hold one another
            text = text.replace(word, meaning)
        return text
