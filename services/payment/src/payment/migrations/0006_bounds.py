"""What comes from outside stays within what everybody can read: times, amounts, document numbers.

Rows that were stored before such a bound existed are repaired first.
"""

from alembic import op

revision = "payment_0006"
down_revision = "payment_0005"
branch_labels = None
depends_on = None

# A gateway's zero time became -infinity, which no reader takes. When the payment moved is known from its history.
TIMES = """
update payments p set paid_at = coalesce(
    (select h.at from payment_history h where h.payment_id = p.id and h.to_status = 'SUCCESS' order by h.seq limit 1),
    p.updated_at)
where paid_at < timestamptz '2000-01-01 00:00:00+00' or paid_at >= timestamptz '2100-01-01 00:00:00+00';
update transactions t set created_at = coalesce(
    (select h.at from payment_history h where h.payment_id = t.payment_id and h.to_status = 'SUCCESS'
     order by h.seq limit 1),
    (select p.updated_at from payments p where p.id = t.payment_id))
where created_at < timestamptz '2000-01-01 00:00:00+00' or created_at >= timestamptz '2100-01-01 00:00:00+00';
update transactions set confirmed_at = created_at
where confirmed_at < timestamptz '2000-01-01 00:00:00+00' or confirmed_at >= timestamptz '2100-01-01 00:00:00+00';
update receipts r set received_at = (select p.updated_at from payments p where p.id = r.payment_id)
where received_at < timestamptz '2000-01-01 00:00:00+00' or received_at >= timestamptz '2100-01-01 00:00:00+00';
alter table payments add check (
    paid_at >= timestamptz '2000-01-01 00:00:00+00' and paid_at < timestamptz '2100-01-01 00:00:00+00');
alter table transactions add check (
    created_at >= timestamptz '2000-01-01 00:00:00+00' and created_at < timestamptz '2100-01-01 00:00:00+00');
alter table receipts add check (
    received_at >= timestamptz '2000-01-01 00:00:00+00' and received_at < timestamptz '2100-01-01 00:00:00+00');
"""

# Ten thousand crore rupees; what an attempt claimed beyond that was never money.
AMOUNTS = """
update payment_attempts set amount_minor = null, currency = null where amount_minor > 10000000000000;
alter table payment_attempts add check (amount_minor <= 10000000000000);
"""

# CGST and SGST are equal to the paisa, and the odd paisa is part of the taxable value. Payments that nobody has paid
# yet are divided anew, so that their invoices will be right; what was announced and invoiced stays as it is.
HALVES = """
update payments set net_minor = net_minor + cgst_minor - sgst_minor, cgst_minor = sgst_minor
where paid_at is null and cgst_minor > sgst_minor;
alter table payments add check (cgst_minor - sgst_minor between 0 and 1);
alter table invoices add check (cgst_minor - sgst_minor between 0 and 1);
"""

# Rule 46(b): at most 16 characters. Numbers of the series that were begun in the older form (CD/2026-27) stay valid.
NUMBERS = """
alter table invoices add check (
    invoice_number ~ '^[A-Z1-9][A-Z0-9/-]{0,15}$' or series ~ '/[0-9]{4}-[0-9]{2}$');
"""

# Whose address it is was not known before: nobody is mailed about an unpaid payment of that time.
MAILS = """
alter table payments add column is_account_email boolean not null default false;
"""


def upgrade() -> None:
    for statements in (TIMES, AMOUNTS, HALVES, NUMBERS, MAILS):
        op.execute(statements)
