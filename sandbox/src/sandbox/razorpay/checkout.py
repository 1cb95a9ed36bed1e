"""The hosted page: pay an order in a browser, without JavaScript, and carry the signed proof back to the shop."""

import html
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sandbox.money import two_decimals
from sandbox.outcomes import Outcome
from sandbox.pages import page
from sandbox.razorpay import errors, methods, webhooks
from sandbox.razorpay.accounts import Accounts
from sandbox.razorpay.domain import Failure, Method, Order, Payment, PaymentStatus
from sandbox.razorpay.errors import Refused
from sandbox.razorpay.simulator import Simulator

# Razorpay's own path, to which shops send their form.
EMBEDDED = "/razorpay/v1/checkout/embedded"
_RETURNS = ("callback_url", "cancel_url")
_FORM = """<h1>Order {order_id}</h1><p class="amount">{currency} {amount}</p>{error}
<form method="post">
<fieldset><legend><label><input type="radio" name="method" value="upi" checked> UPI</label></legend>
<label>UPI ID<input type="text" name="upi_id" value="customer@razorpay" autocomplete="off"></label></fieldset>
<fieldset><legend><label><input type="radio" name="method" value="card"> Card</label></legend>
<label>Card number<input type="text" name="card_number" value="4100280000001007" inputmode="numeric"></label></fieldset>
<fieldset><legend>Other</legend><label><input type="radio" name="method" value="netbanking"> Net banking</label>
<label><input type="radio" name="method" value="wallet"> Wallet</label></fieldset>
<button class="yes" name="outcome" value="success">Pay (succeeds)</button>
<button class="no" name="outcome" value="failure">Pay (fails)</button>
<button class="other" name="outcome" value="auto">Pay (random)</button>
<button class="other" name="outcome" value="user_dropped">Cancel</button>
</form>{leave}"""


class Checkout:
    """Shows an order, takes the payment, and posts what came of it to the shop's callback_url."""

    def __init__(self, simulator: Simulator, accounts: Accounts) -> None:
        self._simulator = simulator
        self._orders = simulator.orders
        self._accounts = accounts

    def routes(self) -> list[Route]:
        """The page's paths."""
        return [
            Route(EMBEDDED, self.embedded, methods=["POST"]),
            Route("/razorpay/checkout/{order_id}", self.show, methods=["GET"]),
            Route("/razorpay/checkout/{order_id}", self.pay, methods=["POST"]),
            Route("/razorpay/checkout/{order_id}/payments/{payment_id}", self.status, methods=["GET"]),
        ]

    async def embedded(self, request: Request) -> Response:
        """The form of a shop: key_id, order_id, callback_url and cancel_url; the rest is the order's."""
        form = await _form_of(request)
        order = self._orders.order(self._accounts.of_key(form.get("key_id", "")), form.get("order_id", ""))
        returns = {name: form[name] for name in _RETURNS if name in form}
        return RedirectResponse(f"/razorpay/checkout/{order.id}?{urlencode(returns)}", 303)

    async def show(self, request: Request) -> Response:
        """The form, or the status of an order that is paid."""
        order = self._orders.named(request.path_params["order_id"])
        if order.is_paid:
            return page("paid", f"<h1>Order {html.escape(order.id)}</h1><p class='amount'>paid</p>{_leave(request)}")
        return _form(request, order)

    async def pay(self, request: Request) -> Response:
        """Start the payment that the form describes and redirect to its page."""
        order = self._orders.named(request.path_params["order_id"])
        form = await _form_of(request)
        choice = form.get("outcome", "auto")
        try:
            payment = self._simulator.pay(order, _method(form), None if choice == "auto" else Outcome(choice))
        except Refused as refusal:
            return _form(request, order, str(refusal), refusal.status)
        return RedirectResponse(f"{request.url.path}/payments/{payment.id}?{request.url.query}", 303)

    async def status(self, request: Request) -> Response:
        """The status of a payment; refreshes itself until it is decided, then leads back to the shop."""
        order, payment = self._orders.payment(request.path_params["payment_id"])
        if order.id != request.path_params["order_id"]:
            raise errors.unknown_id()
        content = f"<h1>Payment {payment.id}</h1><p class='amount'>{payment.status}</p>"
        if payment.status is PaymentStatus.CREATED:
            return page("Processing", content + "<p>Waiting for the bank…</p>", refresh="1")
        if payment.failure is None:
            return page(payment.status, content + _back(request, webhooks.proof(order.account, order.id, payment.id)))
        content += f"<p class='error'>{html.escape(payment.failure.description)}</p>"
        content += f"<p><a href='/razorpay/checkout/{order.id}?{html.escape(request.url.query)}'>Try again</a></p>"
        return page(payment.status, content + _back(request, _error(order, payment, payment.failure)))


async def _form_of(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode()))


def _method(form: Mapping[str, str]) -> Method:
    kind = form.get("method", "upi")
    handles = {"upi": form.get("upi_id", ""), "card": form.get("card_number", "")}
    return methods.named(kind, handles.get(kind, ""))


def _error(order: Order, payment: Payment, failure: Failure) -> dict[str, str]:
    metadata = {"payment_id": payment.id, "order_id": order.id}
    return {
        "error[code]": failure.code,
        "error[description]": failure.description,
        "error[source]": failure.source,
        "error[step]": failure.step,
        "error[reason]": failure.reason,
        "error[metadata]": msgspec.json.encode(metadata).decode(),
    }


def _url(request: Request, name: str) -> str:
    url = request.query_params.get(name, "")
    return url if url.startswith(("http://", "https://")) else ""


def _back(request: Request, fields: Mapping[str, str]) -> str:
    """The form that carries *fields* to the shop."""
    url = _url(request, "callback_url")
    if not url:
        return ""
    inputs = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in fields.items()
    )
    button = '<button class="yes">Return to the shop</button>'
    return f'<form method="post" action="{html.escape(url)}">{inputs}{button}</form>'


def _leave(request: Request) -> str:
    url = _url(request, "cancel_url")
    return f"<p><a href='{html.escape(url)}'>Return to the shop</a></p>" if url else ""


def _form(request: Request, order: Order, error: str = "", status: int = 200) -> Response:
    content = _FORM.format(
        order_id=html.escape(order.id),
        currency=html.escape(order.currency),
        amount=two_decimals(order.amount),
        error=f'<p class="error" role="alert">{html.escape(error)}</p>' if error else "",
        leave=_leave(request),
    )
    return page("Pay", content, status=status)
