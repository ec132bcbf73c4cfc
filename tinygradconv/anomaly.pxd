"""The C signature of what the tape asks of anomaly.py."""
cpdef users_frame()
