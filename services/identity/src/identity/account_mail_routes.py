"""The HTTP endpoints of mails about accounts, and of the tokens in them."""

from functools import partial

from common.http_server import Call, Empty, Route
from identity.domain.account_mails import AccountMail
from identity.domain.errors import AccountMailsThrottled, AccountTokenInvalid, UserInvalid
from identity.passwords import HashingOverloaded
from identity.use_cases.account_mails import AccountMails
from identity.use_cases.email_verifications import EmailVerifications
from identity.use_cases.password_checks import PASSWORD_ERRORS
from identity.use_cases.password_resets import PasswordResets
from identity.wire import requests
from identity.wire.requests import EmailBody, ResetBody, VerifyBody


def account_mail_routes(
    account_mails: AccountMails, email_verifications: EmailVerifications, password_resets: PasswordResets
) -> list[Route]:
    # Public: the token, or nothing at all, says who sends them. Each of them leads to a password, or to a mail.
    route = partial(Route, "POST", public=True, rate_limit="sign_in", answer=Empty)
    mailing = partial(route, body=EmailBody, status=202, errors=[UserInvalid, AccountMailsThrottled])
    return [
        route(
            path="/api/v1/users/email/verify",
            endpoint=partial(verify_email, email_verifications),
            body=VerifyBody,
            errors=[AccountTokenInvalid, *PASSWORD_ERRORS],
        ),
        mailing(path="/api/v1/users/email/resend", endpoint=partial(resend_verification, account_mails)),
        mailing(path="/api/v1/users/password/forgot", endpoint=partial(forgot_password, account_mails)),
        route(
            path="/api/v1/users/password/reset",
            endpoint=partial(reset_password, password_resets),
            body=ResetBody,
            errors=[UserInvalid, AccountTokenInvalid, HashingOverloaded],
        ),
    ]


async def verify_email(email_verifications: EmailVerifications, call: Call[VerifyBody]) -> Empty:
    """Verify the e-mail address that the token was mailed to, with the password of the sign-up. Tokens issued from then
    on say that it is verified.
    """
    await email_verifications.verify(call.body.token, call.body.password)
    return Empty()


async def resend_verification(account_mails: AccountMails, call: Call[EmailBody]) -> Empty:
    """Mail another token to an address that is not verified yet. The answer is the same for every address."""
    await account_mails.request(AccountMail.VERIFY, call.body.email)
    return Empty()


async def forgot_password(account_mails: AccountMails, call: Call[EmailBody]) -> Empty:
    """Mail a token that sets a new password. The answer is the same for every address."""
    await account_mails.request(AccountMail.RESET, call.body.email)
    return Empty()


async def reset_password(password_resets: PasswordResets, call: Call[ResetBody]) -> Empty:
    """Set a new password with the token from the mail, and end all the user's sessions."""
    await password_resets.reset(requests.reset_form(call.body))
    return Empty()
