"""Tests of the client of the service, over HTTP on this machine."""
