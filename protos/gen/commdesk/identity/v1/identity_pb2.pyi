from commdesk.common.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Merchant(_message.Message):
    __slots__ = ("merchant_id", "account_id", "environment", "status", "name", "legal_name", "website", "logo_url", "support_email", "support_phone")
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LEGAL_NAME_FIELD_NUMBER: _ClassVar[int]
    WEBSITE_FIELD_NUMBER: _ClassVar[int]
    LOGO_URL_FIELD_NUMBER: _ClassVar[int]
    SUPPORT_EMAIL_FIELD_NUMBER: _ClassVar[int]
    SUPPORT_PHONE_FIELD_NUMBER: _ClassVar[int]
    merchant_id: str
    account_id: str
    environment: str
    status: str
    name: str
    legal_name: str
    website: str
    logo_url: str
    support_email: str
    support_phone: str
    def __init__(self, merchant_id: _Optional[str] = ..., account_id: _Optional[str] = ..., environment: _Optional[str] = ..., status: _Optional[str] = ..., name: _Optional[str] = ..., legal_name: _Optional[str] = ..., website: _Optional[str] = ..., logo_url: _Optional[str] = ..., support_email: _Optional[str] = ..., support_phone: _Optional[str] = ...) -> None: ...

class Account(_message.Message):
    __slots__ = ("account_id", "name", "status", "merchants", "created_unix_micros")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MERCHANTS_FIELD_NUMBER: _ClassVar[int]
    CREATED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    name: str
    status: str
    merchants: _containers.RepeatedCompositeFieldContainer[Merchant]
    created_unix_micros: int
    def __init__(self, account_id: _Optional[str] = ..., name: _Optional[str] = ..., status: _Optional[str] = ..., merchants: _Optional[_Iterable[_Union[Merchant, _Mapping]]] = ..., created_unix_micros: _Optional[int] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("user_id", "email", "name", "roles")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    email: str
    name: str
    roles: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_id: _Optional[str] = ..., email: _Optional[str] = ..., name: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ...) -> None: ...

class GetMerchantsRequest(_message.Message):
    __slots__ = ("merchant_ids",)
    MERCHANT_IDS_FIELD_NUMBER: _ClassVar[int]
    merchant_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, merchant_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetMerchantsResponse(_message.Message):
    __slots__ = ("merchants",)
    MERCHANTS_FIELD_NUMBER: _ClassVar[int]
    merchants: _containers.RepeatedCompositeFieldContainer[Merchant]
    def __init__(self, merchants: _Optional[_Iterable[_Union[Merchant, _Mapping]]] = ...) -> None: ...

class ListAccountsRequest(_message.Message):
    __slots__ = ("after_id", "limit")
    AFTER_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    after_id: str
    limit: int
    def __init__(self, after_id: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListAccountsResponse(_message.Message):
    __slots__ = ("accounts",)
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[Account]
    def __init__(self, accounts: _Optional[_Iterable[_Union[Account, _Mapping]]] = ...) -> None: ...

class GetAccountRequest(_message.Message):
    __slots__ = ("reference",)
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    reference: str
    def __init__(self, reference: _Optional[str] = ...) -> None: ...

class GetAccountResponse(_message.Message):
    __slots__ = ("account", "members")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    account: Account
    members: _containers.RepeatedCompositeFieldContainer[Member]
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ..., members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ...) -> None: ...

class NewAccount(_message.Message):
    __slots__ = ("name", "legal_name", "website", "owner_email")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LEGAL_NAME_FIELD_NUMBER: _ClassVar[int]
    WEBSITE_FIELD_NUMBER: _ClassVar[int]
    OWNER_EMAIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    legal_name: str
    website: str
    owner_email: str
    def __init__(self, name: _Optional[str] = ..., legal_name: _Optional[str] = ..., website: _Optional[str] = ..., owner_email: _Optional[str] = ...) -> None: ...

class CreateAccountsRequest(_message.Message):
    __slots__ = ("accounts", "actor")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[NewAccount]
    actor: str
    def __init__(self, accounts: _Optional[_Iterable[_Union[NewAccount, _Mapping]]] = ..., actor: _Optional[str] = ...) -> None: ...

class CreateAccountsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[AccountResult]
    def __init__(self, results: _Optional[_Iterable[_Union[AccountResult, _Mapping]]] = ...) -> None: ...

class AccountResult(_message.Message):
    __slots__ = ("account", "error")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    account: Account
    error: _common_pb2.Error
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class SetAccountStatusRequest(_message.Message):
    __slots__ = ("references", "status", "actor", "reason")
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    references: _containers.RepeatedScalarFieldContainer[str]
    status: str
    actor: str
    reason: str
    def __init__(self, references: _Optional[_Iterable[str]] = ..., status: _Optional[str] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SetAccountStatusResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[AccountResult]
    def __init__(self, results: _Optional[_Iterable[_Union[AccountResult, _Mapping]]] = ...) -> None: ...

class ResolveApiKeysRequest(_message.Message):
    __slots__ = ("digests",)
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    digests: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, digests: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ResolveApiKeysResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ResolvedApiKey]
    def __init__(self, results: _Optional[_Iterable[_Union[ResolvedApiKey, _Mapping]]] = ...) -> None: ...

class ResolvedApiKey(_message.Message):
    __slots__ = ("api_key",)
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    api_key: ApiKey
    def __init__(self, api_key: _Optional[_Union[ApiKey, _Mapping]] = ...) -> None: ...

class ApiKey(_message.Message):
    __slots__ = ("api_key_id", "merchant_id", "kind", "is_restricted", "permissions", "origins", "networks", "api_version", "expires_unix_micros")
    API_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    IS_RESTRICTED_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    ORIGINS_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    API_VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    api_key_id: str
    merchant_id: str
    kind: str
    is_restricted: bool
    permissions: _containers.RepeatedScalarFieldContainer[str]
    origins: _containers.RepeatedScalarFieldContainer[str]
    networks: _containers.RepeatedScalarFieldContainer[str]
    api_version: str
    expires_unix_micros: int
    def __init__(self, api_key_id: _Optional[str] = ..., merchant_id: _Optional[str] = ..., kind: _Optional[str] = ..., is_restricted: _Optional[bool] = ..., permissions: _Optional[_Iterable[str]] = ..., origins: _Optional[_Iterable[str]] = ..., networks: _Optional[_Iterable[str]] = ..., api_version: _Optional[str] = ..., expires_unix_micros: _Optional[int] = ...) -> None: ...

class IssueApiKeysRequest(_message.Message):
    __slots__ = ("keys", "actor")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[NewApiKey]
    actor: str
    def __init__(self, keys: _Optional[_Iterable[_Union[NewApiKey, _Mapping]]] = ..., actor: _Optional[str] = ...) -> None: ...

class NewApiKey(_message.Message):
    __slots__ = ("merchant_id", "kind", "name", "permissions", "origins", "networks", "expires_unix_micros")
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    ORIGINS_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    merchant_id: str
    kind: str
    name: str
    permissions: _containers.RepeatedScalarFieldContainer[str]
    origins: _containers.RepeatedScalarFieldContainer[str]
    networks: _containers.RepeatedScalarFieldContainer[str]
    expires_unix_micros: int
    def __init__(self, merchant_id: _Optional[str] = ..., kind: _Optional[str] = ..., name: _Optional[str] = ..., permissions: _Optional[_Iterable[str]] = ..., origins: _Optional[_Iterable[str]] = ..., networks: _Optional[_Iterable[str]] = ..., expires_unix_micros: _Optional[int] = ...) -> None: ...

class IssueApiKeysResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[IssuedApiKey]
    def __init__(self, results: _Optional[_Iterable[_Union[IssuedApiKey, _Mapping]]] = ...) -> None: ...

class IssuedApiKey(_message.Message):
    __slots__ = ("text", "key", "error")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    text: str
    key: ListedApiKey
    error: _common_pb2.Error
    def __init__(self, text: _Optional[str] = ..., key: _Optional[_Union[ListedApiKey, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class ListApiKeysRequest(_message.Message):
    __slots__ = ("merchant_id", "before_id", "limit")
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    BEFORE_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    merchant_id: str
    before_id: str
    limit: int
    def __init__(self, merchant_id: _Optional[str] = ..., before_id: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListApiKeysResponse(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[ListedApiKey]
    def __init__(self, keys: _Optional[_Iterable[_Union[ListedApiKey, _Mapping]]] = ...) -> None: ...

class ListedApiKey(_message.Message):
    __slots__ = ("key", "name", "prefix", "last_four", "status", "created_by", "created_unix_micros", "last_used_unix_micros")
    KEY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    LAST_FOUR_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    CREATED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    LAST_USED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    key: ApiKey
    name: str
    prefix: str
    last_four: str
    status: str
    created_by: str
    created_unix_micros: int
    last_used_unix_micros: int
    def __init__(self, key: _Optional[_Union[ApiKey, _Mapping]] = ..., name: _Optional[str] = ..., prefix: _Optional[str] = ..., last_four: _Optional[str] = ..., status: _Optional[str] = ..., created_by: _Optional[str] = ..., created_unix_micros: _Optional[int] = ..., last_used_unix_micros: _Optional[int] = ...) -> None: ...

class RevokeApiKeysRequest(_message.Message):
    __slots__ = ("api_key_ids", "actor", "reason")
    API_KEY_IDS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    api_key_ids: _containers.RepeatedScalarFieldContainer[str]
    actor: str
    reason: str
    def __init__(self, api_key_ids: _Optional[_Iterable[str]] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RevokeApiKeysResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[RevokedApiKey]
    def __init__(self, results: _Optional[_Iterable[_Union[RevokedApiKey, _Mapping]]] = ...) -> None: ...

class RevokedApiKey(_message.Message):
    __slots__ = ("key", "error")
    KEY_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    key: ListedApiKey
    error: _common_pb2.Error
    def __init__(self, key: _Optional[_Union[ListedApiKey, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class RemoveSecondFactorsRequest(_message.Message):
    __slots__ = ("user_ids", "actor", "reason")
    USER_IDS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    user_ids: _containers.RepeatedScalarFieldContainer[str]
    actor: str
    reason: str
    def __init__(self, user_ids: _Optional[_Iterable[str]] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RemoveSecondFactorsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[RemoveSecondFactorResult]
    def __init__(self, results: _Optional[_Iterable[_Union[RemoveSecondFactorResult, _Mapping]]] = ...) -> None: ...

class RemoveSecondFactorResult(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: _common_pb2.Error
    def __init__(self, error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class AuthorizeRequest(_message.Message):
    __slots__ = ("acts",)
    ACTS_FIELD_NUMBER: _ClassVar[int]
    acts: _containers.RepeatedCompositeFieldContainer[Act]
    def __init__(self, acts: _Optional[_Iterable[_Union[Act, _Mapping]]] = ...) -> None: ...

class Act(_message.Message):
    __slots__ = ("user_id", "merchant_id", "session_id", "roles", "authenticated_unix_seconds", "methods", "api_key_id", "permission")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    AUTHENTICATED_UNIX_SECONDS_FIELD_NUMBER: _ClassVar[int]
    METHODS_FIELD_NUMBER: _ClassVar[int]
    API_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    merchant_id: str
    session_id: str
    roles: _containers.RepeatedScalarFieldContainer[str]
    authenticated_unix_seconds: int
    methods: _containers.RepeatedScalarFieldContainer[str]
    api_key_id: str
    permission: str
    def __init__(self, user_id: _Optional[str] = ..., merchant_id: _Optional[str] = ..., session_id: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ..., authenticated_unix_seconds: _Optional[int] = ..., methods: _Optional[_Iterable[str]] = ..., api_key_id: _Optional[str] = ..., permission: _Optional[str] = ...) -> None: ...

class AuthorizeResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[AuthorizeResult]
    def __init__(self, results: _Optional[_Iterable[_Union[AuthorizeResult, _Mapping]]] = ...) -> None: ...

class AuthorizeResult(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: _common_pb2.Error
    def __init__(self, error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class ListRevocationsRequest(_message.Message):
    __slots__ = ("since_unix_micros", "after_id", "limit")
    SINCE_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    AFTER_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    since_unix_micros: int
    after_id: str
    limit: int
    def __init__(self, since_unix_micros: _Optional[int] = ..., after_id: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListRevocationsResponse(_message.Message):
    __slots__ = ("revocations", "now_unix_micros", "token_life_seconds")
    REVOCATIONS_FIELD_NUMBER: _ClassVar[int]
    NOW_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_LIFE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    revocations: _containers.RepeatedCompositeFieldContainer[Revocation]
    now_unix_micros: int
    token_life_seconds: int
    def __init__(self, revocations: _Optional[_Iterable[_Union[Revocation, _Mapping]]] = ..., now_unix_micros: _Optional[int] = ..., token_life_seconds: _Optional[int] = ...) -> None: ...

class Revocation(_message.Message):
    __slots__ = ("revocation_id", "revoked_unix_micros", "session_id", "user_id", "user_version")
    REVOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    REVOKED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    USER_VERSION_FIELD_NUMBER: _ClassVar[int]
    revocation_id: str
    revoked_unix_micros: int
    session_id: str
    user_id: str
    user_version: int
    def __init__(self, revocation_id: _Optional[str] = ..., revoked_unix_micros: _Optional[int] = ..., session_id: _Optional[str] = ..., user_id: _Optional[str] = ..., user_version: _Optional[int] = ...) -> None: ...

class GetUsersRequest(_message.Message):
    __slots__ = ("user_ids",)
    USER_IDS_FIELD_NUMBER: _ClassVar[int]
    user_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetUsersResponse(_message.Message):
    __slots__ = ("users",)
    USERS_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[User]
    def __init__(self, users: _Optional[_Iterable[_Union[User, _Mapping]]] = ...) -> None: ...

class User(_message.Message):
    __slots__ = ("user_id", "merchant_id", "name", "email", "phone", "roles", "status")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    PHONE_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    merchant_id: str
    name: str
    email: str
    phone: str
    roles: _containers.RepeatedScalarFieldContainer[str]
    status: str
    def __init__(self, user_id: _Optional[str] = ..., merchant_id: _Optional[str] = ..., name: _Optional[str] = ..., email: _Optional[str] = ..., phone: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ..., status: _Optional[str] = ...) -> None: ...
