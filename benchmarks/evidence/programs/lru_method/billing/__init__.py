"""Makes invoices out of orders."""
