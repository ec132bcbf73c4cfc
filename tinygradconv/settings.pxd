"""The C signatures of what every op asks of settings.py."""
cpdef get(str name)
cpdef dict current()
