"""The backend `pgvector` of plugin `vectorstore`: imported only where that is installed."""

from dovetail_postgres.vectors.backend import PostgresVectors as PostgresVectors
