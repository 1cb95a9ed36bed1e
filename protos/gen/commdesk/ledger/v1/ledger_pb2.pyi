from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TrialBalanceRequest(_message.Message):
    __slots__ = ("merchant_id",)
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    merchant_id: str
    def __init__(self, merchant_id: _Optional[str] = ...) -> None: ...

class TrialBalanceResponse(_message.Message):
    __slots__ = ("accounts",)
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[AccountBalance]
    def __init__(self, accounts: _Optional[_Iterable[_Union[AccountBalance, _Mapping]]] = ...) -> None: ...

class AccountBalance(_message.Message):
    __slots__ = ("account", "asset", "debit", "credit")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    DEBIT_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    account: str
    asset: str
    debit: int
    credit: int
    def __init__(self, account: _Optional[str] = ..., asset: _Optional[str] = ..., debit: _Optional[int] = ..., credit: _Optional[int] = ...) -> None: ...

class ListJournalsRequest(_message.Message):
    __slots__ = ("reference", "limit")
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    reference: str
    limit: int
    def __init__(self, reference: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListJournalsResponse(_message.Message):
    __slots__ = ("journals",)
    JOURNALS_FIELD_NUMBER: _ClassVar[int]
    journals: _containers.RepeatedCompositeFieldContainer[Journal]
    def __init__(self, journals: _Optional[_Iterable[_Union[Journal, _Mapping]]] = ...) -> None: ...

class Journal(_message.Message):
    __slots__ = ("journal_id", "merchant_id", "template", "asset", "cause_id", "reference", "time_unix_micros", "entries", "actor_id")
    JOURNAL_ID_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    CAUSE_ID_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    journal_id: str
    merchant_id: str
    template: str
    asset: str
    cause_id: str
    reference: str
    time_unix_micros: int
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    actor_id: str
    def __init__(self, journal_id: _Optional[str] = ..., merchant_id: _Optional[str] = ..., template: _Optional[str] = ..., asset: _Optional[str] = ..., cause_id: _Optional[str] = ..., reference: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., actor_id: _Optional[str] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("account", "debit", "credit")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    DEBIT_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    account: str
    debit: int
    credit: int
    def __init__(self, account: _Optional[str] = ..., debit: _Optional[int] = ..., credit: _Optional[int] = ...) -> None: ...

class ListProposalsRequest(_message.Message):
    __slots__ = ("approval_id", "merchant_id", "limit")
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    approval_id: str
    merchant_id: str
    limit: int
    def __init__(self, approval_id: _Optional[str] = ..., merchant_id: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListProposalsResponse(_message.Message):
    __slots__ = ("proposals",)
    PROPOSALS_FIELD_NUMBER: _ClassVar[int]
    proposals: _containers.RepeatedCompositeFieldContainer[Proposal]
    def __init__(self, proposals: _Optional[_Iterable[_Union[Proposal, _Mapping]]] = ...) -> None: ...

class Proposal(_message.Message):
    __slots__ = ("approval_id", "merchant_id", "status", "proposed_by", "reason", "proposed_unix_micros", "expires_unix_micros", "decided_by", "decision_reason", "journals_count", "debits", "journals")
    class DebitsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    DECISION_REASON_FIELD_NUMBER: _ClassVar[int]
    JOURNALS_COUNT_FIELD_NUMBER: _ClassVar[int]
    DEBITS_FIELD_NUMBER: _ClassVar[int]
    JOURNALS_FIELD_NUMBER: _ClassVar[int]
    approval_id: str
    merchant_id: str
    status: str
    proposed_by: str
    reason: str
    proposed_unix_micros: int
    expires_unix_micros: int
    decided_by: str
    decision_reason: str
    journals_count: int
    debits: _containers.ScalarMap[str, int]
    journals: _containers.RepeatedCompositeFieldContainer[ProposedJournal]
    def __init__(self, approval_id: _Optional[str] = ..., merchant_id: _Optional[str] = ..., status: _Optional[str] = ..., proposed_by: _Optional[str] = ..., reason: _Optional[str] = ..., proposed_unix_micros: _Optional[int] = ..., expires_unix_micros: _Optional[int] = ..., decided_by: _Optional[str] = ..., decision_reason: _Optional[str] = ..., journals_count: _Optional[int] = ..., debits: _Optional[_Mapping[str, int]] = ..., journals: _Optional[_Iterable[_Union[ProposedJournal, _Mapping]]] = ...) -> None: ...

class ProposedJournal(_message.Message):
    __slots__ = ("asset", "effective_unix_micros", "reason", "owner_id", "entries")
    ASSET_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    OWNER_ID_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    asset: str
    effective_unix_micros: int
    reason: str
    owner_id: str
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    def __init__(self, asset: _Optional[str] = ..., effective_unix_micros: _Optional[int] = ..., reason: _Optional[str] = ..., owner_id: _Optional[str] = ..., entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ...) -> None: ...

class ListAuditRequest(_message.Message):
    __slots__ = ("resource_id", "actor_id", "limit")
    RESOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    resource_id: str
    actor_id: str
    limit: int
    def __init__(self, resource_id: _Optional[str] = ..., actor_id: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListAuditResponse(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[AuditEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[AuditEntry, _Mapping]]] = ...) -> None: ...

class AuditEntry(_message.Message):
    __slots__ = ("audit_id", "time_unix_micros", "actor_id", "action", "resource_type", "resource_id", "before_json", "after_json", "request_id", "trace_id", "ip", "user_agent", "service", "correlation_id")
    AUDIT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    BEFORE_JSON_FIELD_NUMBER: _ClassVar[int]
    AFTER_JSON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    audit_id: str
    time_unix_micros: int
    actor_id: str
    action: str
    resource_type: str
    resource_id: str
    before_json: str
    after_json: str
    request_id: str
    trace_id: str
    ip: str
    user_agent: str
    service: str
    correlation_id: str
    def __init__(self, audit_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., actor_id: _Optional[str] = ..., action: _Optional[str] = ..., resource_type: _Optional[str] = ..., resource_id: _Optional[str] = ..., before_json: _Optional[str] = ..., after_json: _Optional[str] = ..., request_id: _Optional[str] = ..., trace_id: _Optional[str] = ..., ip: _Optional[str] = ..., user_agent: _Optional[str] = ..., service: _Optional[str] = ..., correlation_id: _Optional[str] = ...) -> None: ...

class ListPaymentSumsRequest(_message.Message):
    __slots__ = ("payment_ids",)
    PAYMENT_IDS_FIELD_NUMBER: _ClassVar[int]
    payment_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, payment_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ListPaymentSumsResponse(_message.Message):
    __slots__ = ("sums",)
    SUMS_FIELD_NUMBER: _ClassVar[int]
    sums: _containers.RepeatedCompositeFieldContainer[PaymentSum]
    def __init__(self, sums: _Optional[_Iterable[_Union[PaymentSum, _Mapping]]] = ...) -> None: ...

class PaymentSum(_message.Message):
    __slots__ = ("payment_id", "account", "asset", "debit", "credit")
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    DEBIT_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    payment_id: str
    account: str
    asset: str
    debit: int
    credit: int
    def __init__(self, payment_id: _Optional[str] = ..., account: _Optional[str] = ..., asset: _Optional[str] = ..., debit: _Optional[int] = ..., credit: _Optional[int] = ...) -> None: ...

class VerifyBlocksRequest(_message.Message):
    __slots__ = ("from_height", "limit")
    FROM_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    from_height: int
    limit: int
    def __init__(self, from_height: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class VerifyBlocksResponse(_message.Message):
    __slots__ = ("findings", "next_height", "height", "head", "anchored_heights", "journals", "entries", "audit_entries")
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    ANCHORED_HEIGHTS_FIELD_NUMBER: _ClassVar[int]
    JOURNALS_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    AUDIT_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    findings: _containers.RepeatedCompositeFieldContainer[VerificationFinding]
    next_height: int
    height: int
    head: str
    anchored_heights: _containers.RepeatedScalarFieldContainer[int]
    journals: int
    entries: int
    audit_entries: int
    def __init__(self, findings: _Optional[_Iterable[_Union[VerificationFinding, _Mapping]]] = ..., next_height: _Optional[int] = ..., height: _Optional[int] = ..., head: _Optional[str] = ..., anchored_heights: _Optional[_Iterable[int]] = ..., journals: _Optional[int] = ..., entries: _Optional[int] = ..., audit_entries: _Optional[int] = ...) -> None: ...

class VerifyEntriesRequest(_message.Message):
    __slots__ = ("position",)
    POSITION_FIELD_NUMBER: _ClassVar[int]
    position: str
    def __init__(self, position: _Optional[str] = ...) -> None: ...

class VerifyEntriesResponse(_message.Message):
    __slots__ = ("findings", "next_position")
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_POSITION_FIELD_NUMBER: _ClassVar[int]
    findings: _containers.RepeatedCompositeFieldContainer[VerificationFinding]
    next_position: str
    def __init__(self, findings: _Optional[_Iterable[_Union[VerificationFinding, _Mapping]]] = ..., next_position: _Optional[str] = ...) -> None: ...

class VerifyTailRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class VerifyTailResponse(_message.Message):
    __slots__ = ("findings", "height", "head", "anchor_url", "anchored_to", "unsealed_journals", "unsealed_audit_entries")
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_URL_FIELD_NUMBER: _ClassVar[int]
    ANCHORED_TO_FIELD_NUMBER: _ClassVar[int]
    UNSEALED_JOURNALS_FIELD_NUMBER: _ClassVar[int]
    UNSEALED_AUDIT_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    findings: _containers.RepeatedCompositeFieldContainer[VerificationFinding]
    height: int
    head: str
    anchor_url: str
    anchored_to: int
    unsealed_journals: int
    unsealed_audit_entries: int
    def __init__(self, findings: _Optional[_Iterable[_Union[VerificationFinding, _Mapping]]] = ..., height: _Optional[int] = ..., head: _Optional[str] = ..., anchor_url: _Optional[str] = ..., anchored_to: _Optional[int] = ..., unsealed_journals: _Optional[int] = ..., unsealed_audit_entries: _Optional[int] = ...) -> None: ...

class VerificationFinding(_message.Message):
    __slots__ = ("kind", "height", "subject", "line", "detail")
    KIND_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    kind: str
    height: int
    subject: str
    line: int
    detail: str
    def __init__(self, kind: _Optional[str] = ..., height: _Optional[int] = ..., subject: _Optional[str] = ..., line: _Optional[int] = ..., detail: _Optional[str] = ...) -> None: ...

class LedgerBlockSealed(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "epoch", "height", "head", "entries", "audit_entries", "signature", "key_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    AUDIT_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    epoch: str
    height: int
    head: str
    entries: int
    audit_entries: int
    signature: str
    key_id: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., epoch: _Optional[str] = ..., height: _Optional[int] = ..., head: _Optional[str] = ..., entries: _Optional[int] = ..., audit_entries: _Optional[int] = ..., signature: _Optional[str] = ..., key_id: _Optional[str] = ...) -> None: ...
