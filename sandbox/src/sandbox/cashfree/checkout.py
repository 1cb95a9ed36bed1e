"""The hosted page: pay by UPI or card in a browser, without JavaScript."""

import html
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox.cashfree import methods
from sandbox.cashfree.domain import UNDECIDED, Order, OrderStatus, Payment
from sandbox.cashfree.errors import Refused
from sandbox.cashfree.outcomes import Outcome
from sandbox.cashfree.simulator import Simulator
from sandbox.clock import now
from sandbox.money import two_decimals

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>{refresh}
<style>
body{{font:16px/1.5 system-ui,sans-serif;background:#f4f5f7;color:#1d2330;margin:0}}
main{{max-width:26rem;margin:3rem auto;background:#fff;border-radius:.75rem;padding:1.5rem 2rem 2rem;
box-shadow:0 2px 12px #0002}}
h1{{font-size:1.1rem;margin:0}} .amount{{font-size:2rem;font-weight:600;margin:.25rem 0 1rem}}
fieldset{{border:1px solid #d5d9e0;border-radius:.5rem;margin:0 0 1rem}}
input[type=text]{{width:100%;box-sizing:border-box;padding:.5rem;font:inherit;border:1px solid #b9bfca;
border-radius:.35rem}}
button{{font:inherit;padding:.6rem 1rem;border:0;border-radius:.4rem;cursor:pointer;margin:.25rem .25rem 0 0}}
.yes{{background:#157347;color:#fff}} .no{{background:#b02a37;color:#fff}} .other{{background:#e4e7ec}}
.error{{color:#b02a37}} small{{color:#5b6472}}
</style></head><body><main>{content}<p><small>Payment simulator: no money moves.</small></p></main></body></html>"""

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
    return _page("Pay", content, status=status)


def _progress(order: Order, payment: Payment) -> Response:
    content = f"<h1>Payment {payment.cf_payment_id}</h1><p class='amount'>{payment.status}</p>"
    if payment.status in UNDECIDED:
        return _page("Processing", content + "<p>Waiting for the bank…</p>", refresh="1")
    if payment.failure is not None:
        content += f"<p class='error'>{html.escape(payment.failure.message)}</p>"
        content += f"<p><a href='/checkout/{order.session_id}'>Try again</a></p>"
    back = _return_url(order)
    content += f"<p><a href='{back}'>Return to the shop</a></p>" if back else ""
    leaves = bool(back) and payment.failure is None
    return _page(str(payment.status), content, refresh=f"2; url={back}" if leaves else "")


def _closed(order: Order) -> Response:
    back = _return_url(order)
    content = f"<h1>Order {html.escape(order.order_id)}</h1><p class='amount'>{order.status}</p>"
    return _page(order.status, content + (f"<p><a href='{back}'>Return to the shop</a></p>" if back else ""))


def _return_url(order: Order) -> str:
    return html.escape(order.return_url.replace("{order_id}", order.order_id), quote=True)


def _page(title: str, content: str, *, refresh: str = "", status: int = 200) -> Response:
    meta = f'<meta http-equiv="refresh" content="{refresh}">' if refresh else ""
    return HTMLResponse(_PAGE.format(title=html.escape(title), refresh=meta, content=content), status)
