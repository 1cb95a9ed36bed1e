"""Mails about accounts: links lead to our own page, whatever an event says."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commdesk.identity.v1.events_pb2 import AccountMailRequested
from common import ids
from common.errors import RequestInvalid
from common.events import micros
from common.seals import ACCOUNT_TOKEN, EMAIL, NAME, generated
from notifier.domain.account_mails import account_mail
from notifier.rendering import Renderer
from notifier.wire import mails as wire

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SEALER = generated()
PAGE = "https://app.commdesk.example/account"


def requested(kind: str, name: str = "Asha", token: str = "t0ken") -> AccountMailRequested:
    return AccountMailRequested(
        event_id=ids.encode("evt", ids.new()),
        merchant_id="mer_commdesk",
        kind=kind,
        email=SEALER.seal(EMAIL, "asha@example.com"),
        name=SEALER.seal(NAME, name),
        token=SEALER.seal(ACCOUNT_TOKEN, token),
        expires_unix_micros=micros(NOW),
    )


@pytest.mark.parametrize(
    ("kind", "subject", "link"),
    [
        ("verify", "Verify your e-mail address", f"{PAGE}/verify-email#token=t0ken"),
        ("reset", "Set a new password", f"{PAGE}/reset-password#token=t0ken"),
        ("exists", "You already have an account", f"{PAGE}/forgot-password"),
        ("invite", "You are invited to a merchant's account", f"{PAGE}/invitation#token=t0ken"),
    ],
)
def test_each_mail_has_one_link_to_our_page(renderer: Renderer, kind: str, subject: str, link: str) -> None:
    event = requested(kind, "Asha <a href=http://evil.example>", "" if kind == "exists" else "t0ken")
    request = wire.account_mail_requested(SEALER, event)
    mail = message_from_bytes(renderer.render(account_mail(request, PAGE + "/", ids.new()), NOW), policy=policy.default)
    assert (mail["subject"], mail["to"]) == (subject, "asha@example.com")
    assert isinstance(mail, EmailMessage)
    for kind_of_body in ("plain", "html"):
        body = mail.get_body((kind_of_body,))
        assert isinstance(body, EmailMessage)
        text = body.get_content()
        assert (text.count("http"), link in text) == (1, True)
        assert "evil" not in text
        assert ("05:30 AM IST" in text) is (kind != "exists")


@pytest.mark.parametrize(("name", "shown"), [("Nandi Foods", True), ("evil.com", False)])
def test_an_invitation_says_to_which_account_if_that_is_a_name(renderer: Renderer, name: str, shown: bool) -> None:
    event = requested("invite")
    event.account_name = name
    mail = renderer.render(account_mail(wire.account_mail_requested(SEALER, event), PAGE, ids.new()), NOW)
    assert (name.encode() in mail) is shown


@given(kind=st.text())
def test_a_kind_that_is_not_known_is_refused_permanently(kind: str) -> None:
    if kind in ("verify", "reset", "exists", "invite"):
        return
    event = AccountMailRequested(kind=kind.encode(errors="replace").decode())
    with pytest.raises(RequestInvalid):
        wire.account_mail_requested(SEALER, event)
