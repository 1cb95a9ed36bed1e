"""The frame of the hosted pages."""

import html

from starlette.responses import HTMLResponse, Response

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


def page(title: str, content: str, *, refresh: str = "", status: int = 200) -> Response:
    """A page; *content* is HTML, *refresh* says after how many seconds the browser goes where."""
    meta = f'<meta http-equiv="refresh" content="{refresh}">' if refresh else ""
    return HTMLResponse(_PAGE.format(title=html.escape(title), refresh=meta, content=content), status)
