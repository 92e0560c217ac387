"""Takes orders and keeps an audit trail of them."""
