"""What payment asks other services. The payment gateways' adapters are the package `gateways` (libs/gateways)."""
