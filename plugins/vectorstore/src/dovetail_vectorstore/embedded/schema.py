"""The tables: items are the truth, and what finds them by their words or fields is made of them."""

SCHEMA = 1
"""The version of the tables; a store with another is refused."""

STATEMENTS = (
    "CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE collections (
        code INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
        model TEXT NOT NULL DEFAULT '', dimension INTEGER, epoch INTEGER NOT NULL DEFAULT 0)""",
    "CREATE TABLE owners (code INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    # A number is never given twice, so that an index knows a vector by it.
    """CREATE TABLE items (
        n INTEGER PRIMARY KEY AUTOINCREMENT, collection INTEGER NOT NULL, owner INTEGER NOT NULL,
        id TEXT NOT NULL, embedded INTEGER NOT NULL, added INTEGER NOT NULL, hash BLOB NOT NULL,
        source TEXT NOT NULL, metadata TEXT NOT NULL, text TEXT NOT NULL)""",
    "CREATE UNIQUE INDEX items_id ON items (collection, owner, id)",
    "CREATE INDEX items_source ON items (collection, source)",
    "CREATE INDEX items_embedded ON items (collection, owner) WHERE embedded",
    "CREATE INDEX items_pending ON items (collection, owner, id) WHERE NOT embedded",
    # Beside the items: whoever reads these need not read past a kilobyte of numbers in each.
    "CREATE TABLE vectors (n INTEGER PRIMARY KEY, vector BLOB NOT NULL)",
    """CREATE TABLE fields (
        code INTEGER PRIMARY KEY, collection INTEGER NOT NULL, path TEXT NOT NULL)""",
    "CREATE UNIQUE INDEX fields_path ON fields (collection, path)",
    # What filters look at: each value of each field of the metadata.
    """CREATE TABLE terms (
        field INTEGER NOT NULL, value NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (field, value, n)
        ) WITHOUT ROWID""",
    """CREATE VIRTUAL TABLE words USING fts5 (
        text, content = 'items', content_rowid = 'n',
        tokenize = 'unicode61 remove_diacritics 2')""",
)
