"""Imported by the entry scripts before all else: a signal during the slow imports ends them quietly.

Python would answer Ctrl-C by a stack trace of whatever was being imported.
"""

import signal

if signal.getsignal(signal.SIGINT) == signal.default_int_handler:  # not where it is ignored
    signal.signal(signal.SIGINT, signal.SIG_DFL)
