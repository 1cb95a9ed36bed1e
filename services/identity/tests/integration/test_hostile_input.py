"""Nothing that comes in ends in a bug: see common.testing.hostile."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.testing import Served
from common.testing.hostile_tests import *  # noqa: F403
from common.testing.in_process import TOKEN_KEY_ID


@pytest.fixture
def served(identity: Served, token_signer: Ed25519PrivateKey) -> Served:
    identity.resources.user_tokens.accept({TOKEN_KEY_ID: token_signer.public_key()})
    return identity
