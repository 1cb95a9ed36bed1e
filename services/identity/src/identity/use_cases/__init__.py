"""Lock, decide, save, announce: on lists. Each returns a result or a DomainError for every item, in their order."""

from identity.use_cases.accounts import (
    AccessChange,
    Newcomer,
    PasswordChange,
    ProfileChange,
    change_access,
    change_passwords,
    change_profiles,
    sign_up,
)
from identity.use_cases.reading import story, user_by_email, users_by_id
from identity.use_cases.sessions import (
    Attempt,
    Limits,
    Login,
    LogOut,
    Refresh,
    begin_logins,
    forget,
    log_out,
    open_sessions,
    refresh_sessions,
)

__all__ = [
    "AccessChange",
    "Attempt",
    "Limits",
    "LogOut",
    "Login",
    "Newcomer",
    "PasswordChange",
    "ProfileChange",
    "Refresh",
    "begin_logins",
    "change_access",
    "change_passwords",
    "change_profiles",
    "forget",
    "log_out",
    "open_sessions",
    "refresh_sessions",
    "sign_up",
    "story",
    "user_by_email",
    "users_by_id",
]
