"""The hosted page: pay by UPI or card in a browser, without JavaScript."""

import html
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sandbox.cashfree import methods
from sandbox.cashfree.domain import UNDECIDED, Order, OrderStatus, Payment
from sandbox.cashfree.errors import Refused
from sandbox.cashfree.simulator import Simulator
from sandbox.clock import now
from sandbox.money import two_decimals
from sandbox.outcomes import Outcome
from sandbox.pages import page

_FORM = """<h1>Order {order_id}</h1><p class="amount">{currency} {amount}</p>{error}
<form method="post">
<fieldset><legend><label><input type="radio" name="method" value="upi" checked> UPI</label></legend>
<label>UPI ID<input type="text" name="upi_id" value="customer@gocash" autocomplete="off"></label></fieldset>
<fieldset><legend><label><input type="radio" name="method" value="card"> Card</label></legend>
<label>Card number<input type="text" name="card_number" value="4706131211212123" inputmode="numeric"></label></fieldset>
<button class="yes" name="outcome" value="success">Pay (succeeds)</button>
<button class="no" name="outcome" value="failure">Pay (fails)</button>
<button class="other" name="outcome" value="auto">Pay (random)</button>
<button class="other" name="outcome" value="user_dropped">Cancel</button>
</form>"""


class Checkout:
    """Shows the order of a payment session, and takes the payment."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def routes(self) -> list[Route]:
        """The paths under /checkout."""
        return [
            Route("/{session_id}", self.show, methods=["GET"]),
            Route("/{session_id}", self.pay, methods=["POST"]),
            Route("/{session_id}/payments/{cf_payment_id}", self.status, methods=["GET"]),
        ]

    async def show(self, request: Request) -> Response:
        """The form, or the status of an order that is closed."""
        order = self._simulator.orders.of_session(request.path_params["session_id"])
        if order.status_at(now()) is not OrderStatus.ACTIVE:
            return _closed(order)
        return _form(order)

    async def pay(self, request: Request) -> Response:
        """Start the payment that the form describes and redirect to its page."""
        order = self._simulator.orders.of_session(request.path_params["session_id"])
        form = {name: values[-1] for name, values in parse_qs((await request.body()).decode()).items()}
        choice = form.get("outcome", "auto")
        try:
            method = methods.read(_payment_method(form))
            payment = self._simulator.pay(order, method, None if choice == "auto" else Outcome(choice))
        except Refused as refusal:
            return _form(order, str(refusal), refusal.status)
        return RedirectResponse(request.url.path + f"/payments/{payment.cf_payment_id}", 303)

    async def status(self, request: Request) -> Response:
        """The status of a payment; refreshes itself until it is decided, then redirects to the shop."""
        order = self._simulator.orders.of_session(request.path_params["session_id"])
        _, payment = self._simulator.orders.payment(order.order_id, request.path_params["cf_payment_id"])
        return _progress(order, payment)


def _payment_method(form: dict[str, str]) -> dict[str, dict[str, str]]:
    if form.get("method") == "card":
        return {"card": {"channel": "link", "card_number": form.get("card_number", "")}}
    return {"upi": {"channel": "collect", "upi_id": form.get("upi_id", "")}}


def _form(order: Order, error: str = "", status: int = 200) -> Response:
    content = _FORM.format(
        order_id=html.escape(order.order_id),
        currency=html.escape(order.currency),
        amount=two_decimals(order.amount_paise),
        error=f'<p class="error" role="alert">{html.escape(error)}</p>' if error else "",
    )
    return page("Pay", content, status=status)


def _progress(order: Order, payment: Payment) -> Response:
    content = f"<h1>Payment {payment.cf_payment_id}</h1><p class='amount'>{payment.status}</p>"
    if payment.status in UNDECIDED:
        return page("Processing", content + "<p>Waiting for the bank…</p>", refresh="1")
    if payment.failure is not None:
        content += f"<p class='error'>{html.escape(payment.failure.message)}</p>"
        content += f"<p><a href='/checkout/{order.session_id}'>Try again</a></p>"
    back = _return_url(order)
    content += f"<p><a href='{back}'>Return to the shop</a></p>" if back else ""
    leaves = bool(back) and payment.failure is None
    return page(str(payment.status), content, refresh=f"2; url={back}" if leaves else "")


def _closed(order: Order) -> Response:
    back = _return_url(order)
    content = f"<h1>Order {html.escape(order.order_id)}</h1><p class='amount'>{order.status}</p>"
    return page(order.status, content + (f"<p><a href='{back}'>Return to the shop</a></p>" if back else ""))


def _return_url(order: Order) -> str:
    return html.escape(order.return_url.replace("{order_id}", order.order_id), quote=True)
