"""The rules of the books, pure: the chart of accounts, journals and their templates, audit records."""
