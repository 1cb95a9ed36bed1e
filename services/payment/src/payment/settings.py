"""What payment reads from its environment, beside what every service and its gateways do."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, field_validator

from common.setting_checks import rule
from common.tokens.users import FIRST_MERCHANT_ID
from gateways.registry import GatewaySettings
from payment.domain.check_schedule import CheckSchedule, ClosedCheckSchedule
from payment.domain.circuits import CircuitSettings
from payment.domain.gst_states import is_state
from payment.domain.invoices import IST, PREFIX_PATTERN
from payment.domain.pricing import TaxRule
from payment.domain.purchases import PaymentLimits
from payment.domain.receipt_refunds import ReceiptRefundPolicy
from payment.domain.receipts import BOOKS_CURRENCY
from payment.domain.refund_requests import RefundLimits
from payment.domain.return_urls import ReturnUrlPolicy, is_host
from payment.domain.spent_credits import SpentCreditsPolicy
from payment.domain.states import HoldPolicy, LateSuccessPolicy, SecondCapturePolicy
from payment.use_cases.decisions import DecisionSettings
from payment.use_cases.gateway_accounts import AccountSettings
from payment.use_cases.gateway_health import HealthSettings
from payment.use_cases.refund_books import RefundSettings
from payment.use_cases.settlement_imports import ImportSettings
from payment.use_cases.verification import VerificationSettings


class Settings(GatewaySettings):
    required_in_production: ClassVar[frozenset[str]] = GatewaySettings.required_in_production | {
        *("cashfree_base_url", "cashfree_app_id", "cashfree_secret_key", "cashfree_notify_url"),
        *("wallet_address", "fraud_address"),
    }

    # The gateway to which new payments go: cashfree or razorpay. Empty: the first that is configured, in this order.
    default_gateway: str = ""
    # Merchants (mer_…), comma-separated, whose customers may pay into the platform's own accounts in production, beside
    # the platform's. Outside production everybody's may: money that moves there is none.
    platform_account_merchants: tuple[str, ...] = ()
    # host:port of the wallet's gRPC endpoint, or several, comma-separated IP addresses.
    wallet_address: str = "127.0.0.1:18023"
    # host:port of fraud's gRPC endpoint, or several, comma-separated IP addresses.
    fraud_address: str = "127.0.0.1:18033"

    # How long the gateway may take to make or close an order, in seconds.
    gateway_timeout_seconds: float = Field(10.0, gt=0, le=30)
    # How long a batch of webhooks waits for the gateway's answer, in seconds; the webhooks are retried after that.
    gateway_lookup_timeout_seconds: float = Field(
        5.0,
        gt=0,
        le=20,
        validation_alias=AliasChoices("GATEWAY_LOOKUP_TIMEOUT_SECONDS", "GATEWAY_ASK_TIMEOUT_SECONDS"),
    )
    # How many orders are looked up at the gateways at once.
    gateway_lookup_concurrency: int = Field(
        32, ge=1, le=64, validation_alias=AliasChoices("GATEWAY_LOOKUP_CONCURRENCY", "GATEWAY_ASK_CONCURRENCY")
    )

    # After so many failed calls in a row (5xx, timeouts) to make orders, new payments pass a gateway account over where
    # there is another one.
    circuit_failures: int = Field(5, ge=1, le=1000)
    # For how long after the last failed call they do, in seconds; then one payment tries.
    circuit_open_seconds: float = Field(30.0, gt=0, le=3600)
    # A method counts as down at an account when, of at least so many attempts in ten minutes, …
    method_down_attempts: int = Field(20, ge=1, le=5000)
    # … less than this percentage succeeded. 0 never counts a method as down.
    method_down_percent: int = Field(20, ge=0, le=100)

    # Currencies in which payments are made, comma-separated ISO 4217 codes: those that the ledger has accounts in, INR.
    enabled_currencies: frozenset[str] = frozenset({"INR"})
    # The smallest amount of a payment, in minor units (paise).
    amount_min_minor: int = Field(100, ge=1, validation_alias=AliasChoices("AMOUNT_MIN_MINOR", "PAYMENT_AMOUNT_MIN"))
    # The largest amount of a payment, in minor units (paise).
    amount_max_minor: int = Field(
        50_000_000, ge=1, le=10**12, validation_alias=AliasChoices("AMOUNT_MAX_MINOR", "PAYMENT_AMOUNT_MAX")
    )
    # How long an order may be paid, in minutes; Cashfree takes 15 minutes to 30 days.
    order_expiry_minutes: int = Field(30, ge=16, le=43_200)

    # The rate of GST in basis points: 1800 is 18 %.
    gst_rate_basis_points: int = Field(1800, ge=0, le=10_000)
    # Whether prices include GST; otherwise it is added.
    gst_inclusive: bool = True
    # The GST code of the seller's state, two digits: within it CGST and SGST are due, across states IGST.
    seller_state: str = Field("29", pattern=r"^[0-9]{2}$")
    # What the numbers of invoices begin with: a letter and up to three letters or digits, as in CD2627/000001.
    invoice_prefix: str = Field("CD", pattern=PREFIX_PATTERN)

    # What the numbers of credit notes begin with; not what those of invoices begin with.
    credit_note_prefix: str = Field("CN", pattern=PREFIX_PATTERN)
    # A refund of credits that are spent: refuse it (block), let the wallet owe them (debt), or bear them (absorb).
    spent_credits_policy: SpentCreditsPolicy = SpentCreditsPolicy.BLOCK
    # The same for single merchants, comma-separated: mer_a=absorb,mer_b=debt.
    spent_credits_policies: Mapping[str, SpentCreditsPolicy] = {}
    # The most that support may refund of one payment, in minor units (paise), in one refund or in several.
    refund_support_max_minor: int = Field(100_000, ge=0)
    # When more than this of one payment goes back, in minor units (paise), a second person has to approve the refund.
    refund_approval_above_minor: int = Field(1_000_000, ge=0)
    # How long a proposed refund waits for its approval, in hours.
    refund_approval_hours: int = Field(72, ge=1, le=720)
    # For how long a request for the same payment, amount and reason is the same refund, in hours.
    refund_repeat_hours: int = Field(24, ge=0, le=720)

    # Hosts to which the checkout may send customers back, comma-separated; *.example.com stands for all under it. Empty
    # allows every host, in production only that of PUBLIC_URL.
    return_url_hosts: tuple[str, ...] = ()

    # Whether a payment is made when fraud does not answer in time; otherwise it is refused with 503.
    fraud_fail_open: bool = True
    # A paid payment that fraud's rules flagged: grant it at once (off), or hold the grant until a person decides
    # (review). One that a person blocked is held in either case.
    fraud_hold_flagged: HoldPolicy = HoldPolicy.OFF
    # A success after FAILED, EXPIRED or CANCELLED: grant it (fulfil), hold it for a person (review), or give it back
    # (refund).
    late_success_policy: LateSuccessPolicy = LateSuccessPolicy.FULFIL

    # A second capture of a paid payment: give it back through the gateway (refund), or leave it to a person (review).
    second_capture_policy: SecondCapturePolicy = SecondCapturePolicy.REFUND
    # The same for single merchants, comma-separated: mer_a=review,mer_b=refund.
    second_capture_policies: Mapping[str, SecondCapturePolicy] = {}
    # How long a gateway that gives second captures back by itself has to do so, in hours; then we ask for the refund.
    second_capture_refund_hours: float = Field(24.0, ge=0, le=720)
    # Whether this installation is for tests: GET /api/v1/test/jobs/status then answers anybody. Never in production.
    test_mode: bool = False

    # The time between two sweeps for unresolved payments, in seconds.
    sweep_seconds: float = Field(5.0, gt=0)
    # The wait before an unresolved payment's order is looked up for the first time, in seconds; it doubles.
    sweep_after_seconds: int = Field(60, ge=1)
    # The longest wait between two look-ups of an unresolved payment's order, in seconds.
    sweep_longest_seconds: int = Field(1800, ge=1)

    # How long a payment's address, device and agent are kept, in days.
    origin_keep_days: int = Field(180, ge=1)
    # The waits between look-ups of a closed payment's order, in seconds, comma-separated; the last one repeats.
    closed_check_seconds: tuple[int, ...] = (60, 300, 1800, 7200, 28_800, 86_400)
    # For how long after an order's expiry the gateway may still take money for it, in days; it is looked up meanwhile.
    late_payment_days: int = Field(30, ge=0, le=365)
    # The most closed payments that one process looks up in a minute.
    closed_checks_per_minute: int = Field(60, ge=1)
    # How long after a capture the gateway's own list is read once more, in hours.
    confirm_after_hours: int = Field(24, ge=0)
    # The most captures for which one process reads the list in a minute; the gateway's quota for lists is small.
    confirmations_per_minute: int = Field(20, ge=1)
    # The shortest time between two look-ups of one payment's order at the wish of its owner, in seconds.
    verify_interval_seconds: float = Field(2.0, ge=0)
    # The most look-ups that one user may cause in a minute by verify, in each process.
    verifications_per_minute: int = Field(30, ge=1)

    # The time between two imports of what the gateways paid out, in seconds.
    settlement_import_seconds: float = Field(900.0, gt=0)
    # How often it is looked for an import that is due, also one that somebody asked for, in seconds.
    settlement_job_seconds: float = Field(15.0, gt=0)
    # How many days of settlements are read again by each import: they change after their day.
    settlement_days: int = Field(7, ge=1, le=366)
    # The most pages of settlements and rows that one process reads of an account in a minute; Cashfree allows 30.
    settlement_pages_per_minute: int = Field(24, ge=1)
    # The merchant in whose books the accounts' settlements are: the one that has the bank account.
    settlement_merchant_id: str = Field("mer_commdesk", pattern=r"^mer_[0-9A-Za-z_]{1,60}$")

    # What a gateway charges for a dispute that is lost, in minor units (paise).
    dispute_fee_minor: int = Field(0, ge=0, le=10**9)

    @rule("amount_min_minor", "amount_max_minor")
    def _some_amount_is_possible(self) -> Iterator[str]:
        if self.amount_min_minor > self.amount_max_minor:
            yield "AMOUNT_MIN_MINOR is above AMOUNT_MAX_MINOR: no payment could be made"

    @field_validator("platform_account_merchants", mode="before")
    @classmethod
    def _several_merchants(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    def platform_accounts_serve(self, merchant_id: str) -> bool:
        """Whether a merchant without a gateway account of its own may use the platform's."""
        if self.environment != "production" or merchant_id == FIRST_MERCHANT_ID:
            return True
        return merchant_id in self.platform_account_merchants

    @rule(
        *("default_gateway", "cashfree_secret_key", "cashfree_webhook_secret"),
        *("razorpay_key_secret", "razorpay_webhook_secret"),
    )
    def _default_gateway_is_configured(self) -> Iterator[str]:
        gateways = [account.gateway for account in self.gateway_accounts if account.key_secret]
        if self.default_gateway and self.default_gateway not in gateways:
            yield f"DEFAULT_GATEWAY: there is no account of this gateway, only of {', '.join(gateways) or 'none'}"

    @rule("razorpay_key_id", "razorpay_key_secret")
    def _razorpay_key_is_whole(self) -> Iterator[str]:
        if self.razorpay_key_secret.get_secret_value() and not self.razorpay_key_id:
            yield "RAZORPAY_KEY_ID is needed beside RAZORPAY_KEY_SECRET"

    @rule("test_mode", "environment")
    def _production_is_no_test(self) -> Iterator[str]:
        if self.test_mode and self.environment == "production":
            yield "TEST_MODE is set in production: it shows to anybody how much is going on here"

    @rule("invoice_prefix", "credit_note_prefix")
    def _series_are_two(self) -> Iterator[str]:
        if self.invoice_prefix == self.credit_note_prefix:
            yield "INVOICE_PREFIX and CREDIT_NOTE_PREFIX are the same: each kind of document needs its own series"

    @field_validator("spent_credits_policy", mode="before")
    @classmethod
    def _policy_in_any_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("spent_credits_policies", mode="before")
    @classmethod
    def _policies_by_comma(cls, value: object) -> object:
        policies = _by_merchant(value, "SPENT_CREDITS_POLICIES must be pairs such as mer_a=absorb,mer_b=debt")
        if not isinstance(policies, dict):
            return policies
        return {merchant: policy.upper() for merchant, policy in policies.items()}

    @field_validator("second_capture_policies", mode="before")
    @classmethod
    def _captures_by_comma(cls, value: object) -> object:
        return _by_merchant(value, "SECOND_CAPTURE_POLICIES must be pairs such as mer_a=review,mer_b=refund")

    @field_validator("closed_check_seconds", mode="before")
    @classmethod
    def _seconds_by_comma(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("closed_check_seconds")
    @classmethod
    def _positive(cls, waits: tuple[int, ...]) -> tuple[int, ...]:
        if not waits or min(waits) < 1:
            raise ValueError("at least one wait, of at least a second each")
        return waits

    @field_validator("enabled_currencies", mode="before")
    @classmethod
    def _currencies_by_comma(cls, value: object) -> object:
        return frozenset(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("enabled_currencies")
    @classmethod
    def _can_be_booked(cls, value: frozenset[str]) -> frozenset[str]:
        if value != {BOOKS_CURRENCY}:
            raise ValueError(f"payments are made in {BOOKS_CURRENCY} only: the ledger books no other currency")
        return value

    @field_validator("seller_state")
    @classmethod
    def _seller_is_in_india(cls, value: str) -> str:
        if not is_state(value, datetime.now(IST).date()):
            raise ValueError("SELLER_STATE is not the GST code of a state or union territory")
        return value

    @field_validator("return_url_hosts", mode="before")
    @classmethod
    def _hosts_by_comma(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        hosts = tuple(part.strip().lower() for part in value.split(",") if part.strip())
        if not all(is_host(host) for host in hosts):
            raise ValueError("RETURN_URL_HOSTS must be names of hosts, such as app.example.com or *.example.com")
        return hosts

    @property
    def return_urls(self) -> ReturnUrlPolicy:
        if self.environment != "production":
            return ReturnUrlPolicy(self.return_url_hosts, allows_local=True)
        return ReturnUrlPolicy(self.return_url_hosts or ((urlsplit(self.public_url).hostname or ""),))

    @property
    def limits(self) -> PaymentLimits:
        return PaymentLimits(
            currencies=self.enabled_currencies,
            amount_min_minor=self.amount_min_minor,
            amount_max_minor=self.amount_max_minor,
            order_life_seconds=self.order_expiry_minutes * 60,
            first_check_seconds=self.sweep_after_seconds,
            tax=TaxRule(self.gst_rate_basis_points, self.gst_inclusive, self.seller_state),
        )

    @property
    def merchant_accounts(self) -> AccountSettings:
        if self.environment == "production":
            return AccountSettings(is_production=True, public_url=self.public_url)
        urls = {account.gateway: account.base_url for account in self.gateway_accounts}
        return AccountSettings(is_production=False, public_url=self.public_url, test_urls=urls)

    @property
    def gateway_health(self) -> HealthSettings:
        circuit = CircuitSettings(self.circuit_failures, self.circuit_open_seconds)
        return HealthSettings(circuit, self.method_down_attempts, self.method_down_percent)

    @property
    def check_schedule(self) -> CheckSchedule:
        return CheckSchedule(self.sweep_after_seconds, self.sweep_longest_seconds)

    @property
    def decisions(self) -> DecisionSettings:
        return DecisionSettings(
            self.late_success_policy,
            self.public_url,
            ClosedCheckSchedule(self.closed_check_seconds, timedelta(days=self.late_payment_days)),
            timedelta(hours=self.confirm_after_hours),
            self.fraud_hold_flagged,
            ReceiptRefundPolicy(
                second_capture=self.second_capture_policy,
                second_captures=self.second_capture_policies,
                after=timedelta(hours=self.second_capture_refund_hours),
                late_success=self.late_success_policy,
            ),
        )

    @property
    def settlement_imports(self) -> ImportSettings:
        return ImportSettings(
            self.settlement_import_seconds,
            self.settlement_days,
            self.settlement_pages_per_minute,
            self.gateway_timeout_seconds,
            self.settlement_merchant_id,
        )

    @property
    def refunds(self) -> RefundSettings:
        return RefundSettings(
            decisions=self.decisions,
            prefix=self.credit_note_prefix,
            policy=self.spent_credits_policy,
            policies=self.spent_credits_policies,
        )

    @property
    def refund_limits(self) -> RefundLimits:
        return RefundLimits(
            support_max_minor=self.refund_support_max_minor,
            approval_above_minor=self.refund_approval_above_minor,
            approval_life=timedelta(hours=self.refund_approval_hours),
            repeat=timedelta(hours=self.refund_repeat_hours),
        )

    @property
    def verification(self) -> VerificationSettings:
        return VerificationSettings(self.decisions, self.verify_interval_seconds, self.verifications_per_minute)


def _by_merchant(value: object, problem: str) -> object:
    """mer_a=x,mer_b=y as pairs; what is no text is taken as it is. Raises ValueError with *problem*."""
    if not isinstance(value, str):
        return value
    pairs = [part.strip().partition("=") for part in value.split(",") if part.strip()]
    if not all(merchant and policy for merchant, _, policy in pairs):
        raise ValueError(problem)
    return {merchant.strip(): policy.strip() for merchant, _, policy in pairs}
