"""The tables of sessions, as steps for `migrate`; a released step is never changed."""

STEPS = (
    # A session's row is updated by every turn. No column that a turn changes is in an index, so
    # that PostgreSQL can keep the new version on the same page and need not touch the indexes.
    #
    # Ids compare by code point: "C". They are at most 512 characters, 2048 bytes; beside them only
    # the start of the owner's name is sure to fit into an entry of an index.
    """
    CREATE TABLE {schema}.sessions (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        session_id text COLLATE "C" NOT NULL UNIQUE,
        user_id text COLLATE "C",
        created_at timestamptz NOT NULL,
        last_accessed_at timestamptz NOT NULL,
        expiry_at timestamptz,
        state jsonb NOT NULL,
        preferences jsonb NOT NULL,
        auth_info jsonb,
        version bigint NOT NULL,
        change uuid,
        message_count bigint NOT NULL,
        -- Others could not be read: Python's years end at 9999.
        CHECK (created_at >= '0001-01-01Z' AND created_at < '10000-01-01Z'
            OR NOT isfinite(created_at)),
        CHECK (last_accessed_at >= '0001-01-01Z' AND last_accessed_at < '10000-01-01Z'
            OR NOT isfinite(last_accessed_at)),
        CHECK (expiry_at >= '0001-01-01Z' AND expiry_at < '10000-01-01Z'
            OR NOT isfinite(expiry_at))
    ) WITH (fillfactor = 80);

    COMMENT ON COLUMN {schema}.sessions.change IS
        'what the last change of state and preferences is known by, should it be tried twice';

    CREATE INDEX sessions_owner ON {schema}.sessions (left(user_id, 100), session_id);

    CREATE TABLE {schema}.messages (
        session bigint NOT NULL REFERENCES {schema}.sessions ON DELETE CASCADE,
        position bigint NOT NULL,
        message text NOT NULL,
        batch uuid,
        PRIMARY KEY (session, position)
    );

    COMMENT ON COLUMN {schema}.messages.message IS
        'JSON; text, since jsonb holds neither every character nor every number as it was given';
    COMMENT ON COLUMN {schema}.messages.batch IS
        'in the first of the messages that were added together: what that is known by';

    CREATE UNIQUE INDEX messages_batch ON {schema}.messages (batch) WHERE batch IS NOT NULL;

    -- Not in the log: a lease that a crash of the server forgets lets two turns at one session,
    -- which is no loss, and a turn need not wait twice for the disk.
    CREATE UNLOGGED TABLE {schema}.leases (
        lease bytea PRIMARY KEY,
        owner text NOT NULL,
        ends_at timestamptz NOT NULL
    );

    COMMENT ON COLUMN {schema}.leases.lease IS 'sha256 of its name, which may be long';
    """,
)
