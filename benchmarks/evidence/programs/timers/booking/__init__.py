"""Takes bookings, and reminds guests of them."""
