"""The backend that needs no server: SQLite, and an index of vectors beside it."""

from dovetail_vectorstore.embedded.backend import EmbeddedBackend as EmbeddedBackend
