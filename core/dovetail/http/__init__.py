"""What network providers share: a client with limits, decoders, and errors that say what to do.

Retrying is not here: it has one owner, a middleware. A request is sent again only if a pooled
connection died before the first byte of its answer.
"""
