from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RoutingRule(_message.Message):
    __slots__ = ("priority", "merchant_id", "method", "currency", "amount_min", "amount_max", "share_percent", "gateway_account_id", "exploration_percent")
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MIN_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MAX_FIELD_NUMBER: _ClassVar[int]
    SHARE_PERCENT_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    EXPLORATION_PERCENT_FIELD_NUMBER: _ClassVar[int]
    priority: int
    merchant_id: str
    method: str
    currency: str
    amount_min: int
    amount_max: int
    share_percent: int
    gateway_account_id: str
    exploration_percent: int
    def __init__(self, priority: _Optional[int] = ..., merchant_id: _Optional[str] = ..., method: _Optional[str] = ..., currency: _Optional[str] = ..., amount_min: _Optional[int] = ..., amount_max: _Optional[int] = ..., share_percent: _Optional[int] = ..., gateway_account_id: _Optional[str] = ..., exploration_percent: _Optional[int] = ...) -> None: ...

class RoutingRules(_message.Message):
    __slots__ = ("version", "rules")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    version: int
    rules: _containers.RepeatedCompositeFieldContainer[RoutingRule]
    def __init__(self, version: _Optional[int] = ..., rules: _Optional[_Iterable[_Union[RoutingRule, _Mapping]]] = ...) -> None: ...

class GetRoutingRulesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetRoutingRulesResponse(_message.Message):
    __slots__ = ("rules",)
    RULES_FIELD_NUMBER: _ClassVar[int]
    rules: RoutingRules
    def __init__(self, rules: _Optional[_Union[RoutingRules, _Mapping]] = ...) -> None: ...

class SetRoutingRulesRequest(_message.Message):
    __slots__ = ("rules", "actor", "reason")
    RULES_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    rules: RoutingRules
    actor: str
    reason: str
    def __init__(self, rules: _Optional[_Union[RoutingRules, _Mapping]] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SetRoutingRulesResponse(_message.Message):
    __slots__ = ("rules",)
    RULES_FIELD_NUMBER: _ClassVar[int]
    rules: RoutingRules
    def __init__(self, rules: _Optional[_Union[RoutingRules, _Mapping]] = ...) -> None: ...

class ExplainRouteRequest(_message.Message):
    __slots__ = ("payment_id", "merchant_id", "method", "amount", "currency")
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    payment_id: str
    merchant_id: str
    method: str
    amount: int
    currency: str
    def __init__(self, payment_id: _Optional[str] = ..., merchant_id: _Optional[str] = ..., method: _Optional[str] = ..., amount: _Optional[int] = ..., currency: _Optional[str] = ...) -> None: ...

class RouteDecision(_message.Message):
    __slots__ = ("gateway_account_id", "reason", "rules_version", "priority", "others")
    class OthersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    GATEWAY_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RULES_VERSION_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    OTHERS_FIELD_NUMBER: _ClassVar[int]
    gateway_account_id: str
    reason: str
    rules_version: int
    priority: int
    others: _containers.ScalarMap[str, str]
    def __init__(self, gateway_account_id: _Optional[str] = ..., reason: _Optional[str] = ..., rules_version: _Optional[int] = ..., priority: _Optional[int] = ..., others: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ExplainRouteResponse(_message.Message):
    __slots__ = ("decisions", "gateway_account_id")
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    decisions: _containers.RepeatedCompositeFieldContainer[RouteDecision]
    gateway_account_id: str
    def __init__(self, decisions: _Optional[_Iterable[_Union[RouteDecision, _Mapping]]] = ..., gateway_account_id: _Optional[str] = ...) -> None: ...

class Account(_message.Message):
    __slots__ = ("gateway_account_id", "merchant_id", "gateway", "mode", "key_id", "methods", "priority", "amount_min", "amount_max", "status", "webhook_path", "created_unix_micros", "updated_unix_micros")
    GATEWAY_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    METHODS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MIN_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MAX_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_PATH_FIELD_NUMBER: _ClassVar[int]
    CREATED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    UPDATED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    gateway_account_id: str
    merchant_id: str
    gateway: str
    mode: str
    key_id: str
    methods: _containers.RepeatedScalarFieldContainer[str]
    priority: int
    amount_min: int
    amount_max: int
    status: str
    webhook_path: str
    created_unix_micros: int
    updated_unix_micros: int
    def __init__(self, gateway_account_id: _Optional[str] = ..., merchant_id: _Optional[str] = ..., gateway: _Optional[str] = ..., mode: _Optional[str] = ..., key_id: _Optional[str] = ..., methods: _Optional[_Iterable[str]] = ..., priority: _Optional[int] = ..., amount_min: _Optional[int] = ..., amount_max: _Optional[int] = ..., status: _Optional[str] = ..., webhook_path: _Optional[str] = ..., created_unix_micros: _Optional[int] = ..., updated_unix_micros: _Optional[int] = ...) -> None: ...

class ListAccountsRequest(_message.Message):
    __slots__ = ("merchant_id",)
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    merchant_id: str
    def __init__(self, merchant_id: _Optional[str] = ...) -> None: ...

class ListAccountsResponse(_message.Message):
    __slots__ = ("accounts",)
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[Account]
    def __init__(self, accounts: _Optional[_Iterable[_Union[Account, _Mapping]]] = ...) -> None: ...

class CreateAccountRequest(_message.Message):
    __slots__ = ("merchant_id", "gateway", "key_id", "key_secret", "webhook_secret", "contact_phone", "methods", "priority", "amount_min", "amount_max", "actor")
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_SECRET_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_SECRET_FIELD_NUMBER: _ClassVar[int]
    CONTACT_PHONE_FIELD_NUMBER: _ClassVar[int]
    METHODS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MIN_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MAX_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    merchant_id: str
    gateway: str
    key_id: str
    key_secret: str
    webhook_secret: str
    contact_phone: str
    methods: _containers.RepeatedScalarFieldContainer[str]
    priority: int
    amount_min: int
    amount_max: int
    actor: str
    def __init__(self, merchant_id: _Optional[str] = ..., gateway: _Optional[str] = ..., key_id: _Optional[str] = ..., key_secret: _Optional[str] = ..., webhook_secret: _Optional[str] = ..., contact_phone: _Optional[str] = ..., methods: _Optional[_Iterable[str]] = ..., priority: _Optional[int] = ..., amount_min: _Optional[int] = ..., amount_max: _Optional[int] = ..., actor: _Optional[str] = ...) -> None: ...

class CreateAccountResponse(_message.Message):
    __slots__ = ("account",)
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    account: Account
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ...) -> None: ...

class RotateWebhookSecretRequest(_message.Message):
    __slots__ = ("gateway_account_id", "webhook_secret", "actor")
    GATEWAY_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_SECRET_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    gateway_account_id: str
    webhook_secret: str
    actor: str
    def __init__(self, gateway_account_id: _Optional[str] = ..., webhook_secret: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class RotateWebhookSecretResponse(_message.Message):
    __slots__ = ("account",)
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    account: Account
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ...) -> None: ...

class DisableAccountRequest(_message.Message):
    __slots__ = ("gateway_account_id", "actor")
    GATEWAY_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    gateway_account_id: str
    actor: str
    def __init__(self, gateway_account_id: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class DisableAccountResponse(_message.Message):
    __slots__ = ("account",)
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    account: Account
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ...) -> None: ...
