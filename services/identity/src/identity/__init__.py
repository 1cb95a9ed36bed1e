"""identity owns users, their roles, merchants and sessions, and issues the tokens that the others verify offline."""
