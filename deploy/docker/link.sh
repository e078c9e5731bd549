#!/bin/sh
# In the place of a compiler, which TVM has link its objects: ld knows all that it is asked, but -fPIC.
for argument; do
    shift
    [ "$argument" = -fPIC ] || set -- "$@" "$argument"
done
exec ld "$@"
