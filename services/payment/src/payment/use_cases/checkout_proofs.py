"""The proof of a payment that a gateway's checkout hands to the browser: checked, and a claim all the same."""

from typing import Final

from loguru import logger

from common import ids, telemetry
from gateways import Gateways, GatewayUnsupported
from payment.domain.errors import CheckoutSignatureInvalid
from payment.domain.orders import CheckoutProof
from payment.domain.payments import Payment

_refused: Final = telemetry.counter(
    "payment_checkout_proofs_refused_total", "Proofs of a checkout whose signature is wrong"
)


class CheckoutProofs:
    def __init__(self, gateways: Gateways) -> None:
        self._gateways = gateways

    def check(self, payment: Payment, proof: CheckoutProof | None) -> None:
        """Nothing moves because of a proof: the order is looked up as without one.

        Raises GatewayUnsupported where the checkout signs nothing, CheckoutSignatureInvalid for a proof of another
        order or with a wrong signature.
        """
        if proof is None:
            return
        gateway = self._gateways.get(payment.gateway_account_id)
        if gateway is None or not gateway.capabilities.signs_checkout:
            raise GatewayUnsupported(razorpaySignature=f"the checkout of {payment.gateway} signs nothing")
        # Against the stored order: a browser may know the proof of another payment.
        is_own = bool(payment.gateway_order_id) and proof.gateway_order_id == payment.gateway_order_id
        if is_own and gateway.verify_checkout(payment.gateway_order_id, proof.gateway_payment_id, proof.signature):
            return
        _refused.of().inc()
        logger.warning("the signature of a checkout is wrong", payment_id=ids.encode("pay", payment.id))
        field = "razorpaySignature" if is_own else "razorpayOrderId"
        raise CheckoutSignatureInvalid(**{field: "is not of this payment's order"})
