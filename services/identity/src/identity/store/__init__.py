"""Tables and queries; the only SQL."""

from identity.store.accounts import insert_users, known_roles, lock_users, save_users, users, users_by_email
from identity.store.sessions import (
    insert_sessions,
    lock_sessions,
    recent_sessions,
    save_sessions,
    users_of_sessions,
)
from identity.store.throttles import forget, lock_throttles, save_throttles

__all__ = [
    "forget",
    "insert_sessions",
    "insert_users",
    "known_roles",
    "lock_sessions",
    "lock_throttles",
    "lock_users",
    "recent_sessions",
    "save_sessions",
    "save_throttles",
    "save_users",
    "users",
    "users_by_email",
    "users_of_sessions",
]
