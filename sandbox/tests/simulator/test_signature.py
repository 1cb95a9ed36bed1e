"""Signatures: vectors that Cashfree's official Python and Node SDKs accept, and near misses that they refuse."""

import pytest

from sandbox.cashfree.webhooks import sign

SECRET = "cfsk_ma_test_0123456789abcdef0123456789abcdef_deadbeef"  # invented

VECTORS = {
    "payment success, two-decimal amounts preserved": (
        "1746427759733",
        "Y3ltpdHR4g3SuCzKsvMwf+huIgtD74Pxru3PspRqIz4=",
        (
            '{"data":{"order":{"order_id":"order_OFR_2","order_amount":170.00,"order_currency":"INR","o'
            'rder_tags":null},"payment":{"cf_payment_id":"1453002795","payment_status":"SUCCESS","payme'
            'nt_amount":170.00,"payment_currency":"INR","payment_message":"00::Transaction success","pa'
            'yment_time":"2025-01-15T12:20:29+05:30","bank_reference":"234928698581","auth_id":null,"pa'
            'yment_method":{"upi":{"channel":"collect","upi_id":"rishab@ybl"}},"payment_group":"upi"},"'
            'customer_details":{"customer_name":null,"customer_id":"7112AAA812234","customer_email":"te'
            'st@gmail.com","customer_phone":"9908734801"}},"event_time":"2025-01-15T12:20:31+05:30","ty'
            'pe":"PAYMENT_SUCCESS_WEBHOOK"}'
        ),
    ),
    "refund status": (
        "1646033668000",
        "ku/ho+JJE60vgaGRfub7MntS6j4e7He8VXB9Ek+uI+0=",
        (
            '{"data":{"refund":{"cf_refund_id":11325632,"cf_payment_id":789727431,"refund_id":"refund_s'
            'ampleorder0413","order_id":"sampleorder0413","refund_amount":2.00,"refund_currency":"INR",'
            '"entity":"Refund","refund_type":"MERCHANT_INITIATED","refund_arn":"205907014017","refund_s'
            'tatus":"SUCCESS"}},"event_time":"2022-02-28T13:04:28+05:30","type":"REFUND_STATUS_WEBHOOK"'
            "}"
        ),
    ),
    "non-ASCII body (UTF-8 bytes signed)": (
        "1746427759733",
        "LInMcNnhKPxsG2sAFjbIR0KYlQ9lR7CKjfmAs/rFMzE=",
        (
            '{"data":{"order":{"order_id":"order_हि","order_amount":1.00,"order_currency":"INR"},"custo'
            'mer_details":{"customer_name":"राहुल ₹"}},"event_time":"2025-05-05T12:19:19+05:30","type":'
            '"PAYMENT_SUCCESS_WEBHOOK"}'
        ),
    ),
    "dashboard test ping": (
        "1746427759733",
        "s19/a+zCqZ7gpedkEvaVhou/nHxXjAeWPUWL0ZqbNvc=",
        '{"data":{"test_object":{"test_key":"test_value"}},"type":"WEBHOOK","event_time":"2025-05-05T12:19:19+05:30"}',
    ),
    "body with trailing newline (newline is part of the signed bytes)": (
        "1746427759733",
        "J52cvrSjtcG5io984dIAkGTpy4jZaEvEF0e+bFoHToY=",
        '{"data":{},"event_time":"2025-05-05T12:19:19+05:30","type":"PAYMENT_FAILED_WEBHOOK"}\n',
    ),
}


@pytest.mark.parametrize(("timestamp", "signature", "body"), VECTORS.values(), ids=VECTORS)
def test_a_body_is_signed_as_cashfree_signs_it(timestamp: str, signature: str, body: str) -> None:
    assert sign(SECRET, timestamp, body.encode()) == signature


_TIMESTAMP, _SIGNATURE, _BODY = next(iter(VECTORS.values()))


@pytest.mark.parametrize(
    ("timestamp", "body"),
    [
        (_TIMESTAMP, _BODY.replace("170.00", "170.0")),
        (_TIMESTAMP + ".", _BODY),
        (_TIMESTAMP[:-3], _BODY),
        (_TIMESTAMP, _BODY + "\n"),
    ],
    ids=["re-serialised amount", "dot between", "seconds", "newline added"],
)
def test_anything_but_the_raw_bytes_signs_differently(timestamp: str, body: str) -> None:
    assert sign(SECRET, timestamp, body.encode()) != _SIGNATURE
