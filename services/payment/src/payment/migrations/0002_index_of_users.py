"""The index of a user's payments begins with the user.

Beginning with the merchant it was good for finding a payment by its order id as well, by reading all that its merchant
ever sold; a plan that is made while the table is empty takes it for as cheap as the index of order ids, and is kept.
"""

from alembic import op

revision = "payment_0002"
down_revision = "payment_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("create index payments_of_user on payments (user_id, merchant_id, id)")
    op.execute("drop index payments_user")
