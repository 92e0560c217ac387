"""Writes mails and hands them on."""
