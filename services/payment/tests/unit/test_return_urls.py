"""Where a checkout may send a customer afterwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.testing import hostile
from payment.domain.return_urls import ReturnUrlPolicy

PRODUCTION = ReturnUrlPolicy(("app.commdesk.example", "*.shop.example"))
DEVELOPMENT = ReturnUrlPolicy(allows_local=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://app.commdesk.example",
        "https://app.commdesk.example/done?order={order_id}#x",
        "https://APP.commdesk.example:8443/done",
        "https://a.shop.example/",
        "https://a.b.shop.example/",
    ],
)
def test_the_merchants_own_pages_are_taken(url: str) -> None:
    assert PRODUCTION.problem(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "",
        "app.commdesk.example",
        "http://app.commdesk.example/",
        "https://evil.example/",
        "https://shop.example/",
        "https://evilshop.example/",
        "https://app.commdesk.example.evil.example/",
        "https://app.commdesk.example@evil.example/",
        "https://user:pw@app.commdesk.example/",
        "https://evil.example\\@app.commdesk.example/",
        "https://app.commdesk.example\t.evil.example/",
        "https://app.commdesk.example\n/",
        "https:///done",
        "https://",
        "https://app.commdesk.example:0/",
        "https://app.commdesk.example:99999/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[fe80::1%25eth0]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://1.2.3/",
        "https://localhost/",
        "https://app/",
        "http://localhost:3000/",
        "javascript:alert(1)",
        "//evil.example/",
        "https://xn--/",
        "https://ａpp.commdesk.example/",
        "https://app.commdesk.example/" + "x" * 250,
    ],
)
def test_everything_else_is_refused_in_production(url: str) -> None:
    assert PRODUCTION.problem(url)


@pytest.mark.parametrize("url", ["http://localhost:3000/done", "http://127.0.0.1/", "https://anywhere.example/"])
def test_a_developer_comes_back_to_this_machine(url: str) -> None:
    assert DEVELOPMENT.problem(url) == ""


@pytest.mark.parametrize("url", ["http://anywhere.example/", "http://127.0.0.1@evil.example/", "https://10.0.0.1/"])
def test_a_developer_goes_nowhere_else_without_https(url: str) -> None:
    assert DEVELOPMENT.problem(url)


@given(hostile.texts | st.builds("https://{}/".format, hostile.texts))
def test_no_text_raises(url: str) -> None:
    for policy in (PRODUCTION, DEVELOPMENT):
        assert isinstance(policy.problem(url), str)
