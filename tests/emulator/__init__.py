"""Tests of the emulator, a package so that its modules may share names with those beside it."""
